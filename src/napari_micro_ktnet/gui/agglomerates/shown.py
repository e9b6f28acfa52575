"""A measurement in the viewer: its layers, and the way to an object or a field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui import places
from napari_micro_ktnet.gui.agglomerates import layers as draw
from napari_micro_ktnet.gui.agglomerates.text import class_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.agglomerates.rows import ObjectRows
    from napari_micro_ktnet.gui.agglomerates.run import Measured


class ShownObjects:
    """One layer of numbered objects for each measured field.

    Parameters
    ----------
    viewer : ViewerModel
        Where.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._places: list[places.Place] = []
        self._hidden: list[Layer] = []
        self.fields: list[ChosenField] = []
        self.layers: list[Labels] = []

    def show(
        self,
        measured: Measured,
        objects: ObjectRows,
        fields: list[ChosenField],
        where: Sequence[places.Place],
    ) -> None:
        """Show the objects of a measurement; `where` is the place of each field when Measure was pressed."""
        places.remove_box(self._viewer)
        self.fields, self._places, self.layers = fields, list(where), []
        texts = class_texts(measured.measurement.pooled.size_classes)
        found = zip(measured.measurement.fields, measured.objects, where, strict=True)
        for index, (field, numbers, place) in enumerate(found):
            mine = objects.field == index
            classes = objects.size_class[mine][objects.number[mine].argsort()]
            self.layers.append(draw.show_objects(self._viewer, numbers, field.table, classes, texts, place))

    def hide_measured(self, hide: bool) -> None:
        """Hide the layers that were measured, or show them again."""
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden = [each.labels for each in self.fields if each.labels.visible] if hide else []
        for layer in self._hidden:
            layer.visible = False

    def go_to_object(self, objects: ObjectRows, row: int) -> None:
        """Let the camera go to an object, and draw a box around it."""
        index = int(objects.field[row])
        place = self._place(index)
        self._raise(index)
        places.look_at_box(self._viewer, objects.boxes[row], place, 0)
        places.show_box(self._viewer, objects.boxes[row], place, 0)
        if self.layers[index] in self._viewer.layers:
            self.layers[index].selected_label = int(objects.number[row])

    def go_to_field(self, index: int, shape: tuple[int, ...]) -> None:
        """Let the camera show a field as a whole."""
        self._raise(index)
        places.remove_box(self._viewer)
        places.look_at_box(self._viewer, places.whole(shape[0], shape[1]), self._place(index), 0)

    def _place(self, index: int) -> places.Place:
        layer, place = self.layers[index], self._places[index]
        if layer in self._viewer.layers:
            # Its scale may have been set since.
            return replace(place, geometry=convert.geometry(layer))
        return place

    def _raise(self, index: int) -> None:
        """Let a field be seen where several lie on each other."""
        if len(self.fields) < 2:
            return
        layers = self._viewer.layers
        for layer in (self.fields[index].image, self.layers[index]):
            if layer is not None and layer in layers:
                layer.visible = True
                layers.move(layers.index(layer), len(layers))
