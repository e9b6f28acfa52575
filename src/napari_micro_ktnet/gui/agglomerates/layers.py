"""Layers of the Agglomerates widget: numbered objects in the colours of their size classes, and previews."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.agglomerates.run import PART_LABELS, WHOLE
from napari_micro_ktnet.gui.label_layers import record_of
from napari_micro_ktnet.gui.places import Place, lies_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_micro_ktnet.measurement.shapes import AgglomerateTable
    from napari_micro_ktnet.measurement.summary import SizeClass

_PART_COLORS = ("#ffd400", "#00c2ff", "#ff5db1", "#7cf03c", "#ff8a1f", "#b99bff")
WHOLE_COLOR = "#9aa0a6"
_OPACITY = 0.65
_FEW = np.iinfo(np.uint16).max
NOT_COUNTED = "not counted"
_OF, _PREVIEW = "agglomerates_of", "preview_of"


def size_colors(count: int) -> list[str]:
    """Give ``#rrggbb`` for size classes from the smallest to the largest, as in reports."""
    from napari_micro_ktnet.report.colors import class_colors

    return list(class_colors(count))


def class_of(
    ecd: NDArray[np.float64], weight: NDArray[np.float64], classes: Sequence[SizeClass]
) -> NDArray[np.int64]:
    """Index of the size class of each object, -1 for those that do not count."""
    lows = np.array([c.low for c in classes])
    index = np.searchsorted(lows, ecd, side="right") - 1
    return np.where(weight > 0, index, -1)


def place_of(labels: Labels, image: Image | None) -> Place:
    """Where results of a Labels layer belong."""
    return Place(labels.name, image.name if image is not None else "", labels.ndim, convert.geometry(labels))


def show_objects(
    viewer: ViewerModel,
    objects: NDArray[Any],
    table: AgglomerateTable,
    classes: NDArray[np.int64],
    texts: Sequence[str],
    place: Place,
) -> Labels:
    """Show numbered objects on top; an earlier layer of the same labels is replaced in place.

    Parameters
    ----------
    viewer : ViewerModel
        Where.
    objects : ndarray of int32, (Y, X)
        0 and objects from 1.
    table : AgglomerateTable
        One row for each; they become the features of the layer.
    classes : ndarray of int, (N,)
        Size class of each, -1 for those that do not count.
    texts : sequence of str
        What the size classes are called.
    place : Place
        Of the labels that were measured.
    """
    colors = [*size_colors(len(texts)), WHOLE_COLOR]
    names = np.array([*texts, NOT_COUNTED])
    features = {
        "index": table["object"],
        "size class": names[classes],
        **{name: values for name, values in table.columns.items() if name != "object"},
    }
    looks = _colormap({number: colors[c] for number, c in enumerate(classes.tolist(), 1)})
    if len(table) <= _FEW:
        # The graphics card colours these without a copy of all pixels for every change.
        objects = objects.astype(np.uint16)
    old = result_of(viewer, place)
    if old is not None:
        old.data, old.features, old.colormap = objects, features, looks
        old.visible = True
        return old
    return _add(
        viewer,
        objects,
        name=f"{place.name} agglomerates",
        colormap=looks,
        features=features,
        metadata={convert.RESULT_KEY: {_OF: place.name, **_image(place)}},
        place=place,
    )


def result_of(viewer: ViewerModel, place: Place) -> Labels | None:
    """Find the layer that an earlier measurement of the same labels made."""
    return next((x for x in viewer.layers if _made_from(x, _OF, place) and lies_at(x, place)), None)


def show_preview(viewer: ViewerModel, labels: NDArray[np.uint8], place: Place) -> Labels:
    """Show what would be cut, on top; an earlier preview of the same labels is replaced in place."""
    old = next((x for x in viewer.layers if _made_from(x, _PREVIEW, place) and lies_at(x, place)), None)
    if old is not None:
        old.data = labels
        return old
    colors = {WHOLE: WHOLE_COLOR, **{WHOLE + 1 + i: _PART_COLORS[i] for i in range(PART_LABELS)}}
    return _add(
        viewer,
        labels,
        name=f"{place.name} [preview]",
        colormap=_colormap(colors),
        metadata={convert.RESULT_KEY: {_PREVIEW: place.name, **_image(place)}},
        place=place,
    )


def remove_preview(viewer: ViewerModel, layer: Labels | None) -> None:
    """Take a preview away and leave the selection to what else was selected."""
    if layer is None or layer not in viewer.layers:
        return
    selected = [x for x in viewer.layers.selection if x is not layer]
    viewer.layers.remove(layer)
    viewer.layers.selection = selected


def _add(viewer: ViewerModel, labels: NDArray[Any], place: Place, **keywords: Any) -> Labels:
    selected = tuple(viewer.layers.selection)
    layer: Labels = viewer.add_labels(labels, opacity=_OPACITY, **keywords, **place.geometry)
    # What is painted here would be lost with the next measurement.
    layer.editable = False
    viewer.layers.selection = [x for x in selected if x in viewer.layers]
    return layer


def _made_from(layer: Layer, key: str, place: Place) -> bool:
    return isinstance(layer, Labels) and record_of(layer).get(key) == place.name


def _image(place: Place) -> dict[str, str]:
    return {"image": place.image} if place.image else {}


def _colormap(colors: dict[int, str]) -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    everything: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    return DirectLabelColormap(color_dict=everything | colors)
