"""A line over a burnt-in scale bar: a layer that lives only while it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_micro_ktnet.gui import layers as convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

_COLOUR = "#ff40ff"
_WIDTHS = 500


class ScaleLine:
    """A temporary Shapes layer on the pixels of an image, ready to draw a line.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer goes; it becomes the active one.
    image : Image
        What the line is drawn on.
    changed : callable
        Called whenever the line was drawn or moved.

    Attributes
    ----------
    select_after : tuple of Layer
        What is selected once the line is gone; at first what was selected before it came.
    """

    def __init__(self, viewer: ViewerModel, image: Image, changed: Callable[[], None]) -> None:
        self.image = image
        self._viewer = viewer
        self._changed = changed
        self._gone = False
        self.select_after: tuple[Layer, ...] = tuple(viewer.layers.selection)
        self.layer = Shapes(
            None,
            ndim=image.ndim,
            name="scale bar (draw a line over it)",
            edge_color=_COLOUR,
            # Thin beside a scale bar, and still seen where a large image is shown whole.
            edge_width=max(1.0, convert.grid_shape(image)[-1] / _WIDTHS),
            metadata={convert.RESULT_KEY: {"image": image.name}},
            **convert.geometry(image),
        )
        viewer.add_layer(self.layer)
        viewer.layers.selection.active = self.layer
        self.layer.mode = "add_line"
        self.layer.events.set_data.connect(self._tell)
        self.layer.events.data.connect(self._tell)

    @property
    def pixels(self) -> float | None:
        """Length of the last line in pixels of the image; None before there is one."""
        lines = [
            vertices
            for vertices, kind in zip(self.layer.data, self.layer.shape_type, strict=True)
            if kind == "line"
        ]
        if not lines:
            return None
        start, end = (np.asarray(point, float)[-2:] for point in lines[-1])
        return float(np.hypot(*(end - start)))

    def follow(self) -> None:
        """Stay on the pixels of the image, wherever it was moved."""
        for name, value in convert.geometry(self.image).items():
            if not np.array_equal(getattr(self.layer, name, value), value):
                setattr(self.layer, name, value)

    def remove(self) -> None:
        """Take the layer away if it is still there, and select `select_after`."""
        self._gone = True
        if self.layer not in self._viewer.layers:
            return
        selected = set(self._viewer.layers.selection)
        self._viewer.layers.remove(self.layer)
        if selected <= {self.layer}:
            self._viewer.layers.selection = [x for x in self.select_after if x in self._viewer.layers]

    def _tell(self, event: object = None) -> None:
        if not self._gone:
            self._changed()
