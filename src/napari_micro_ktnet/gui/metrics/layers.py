"""The layer of errors of the Metrics widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.places import lies_at
from napari_micro_ktnet.measurement.error_map import COLORS, FALSE, MISSED, OTHER, RIGHT

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.places import Place

MEANING = {
    RIGHT: ("found", "In prediction and truth (true positive)."),
    MISSED: ("missed", "In the truth only (false negative)."),
    FALSE: ("false", "In the prediction only (false positive)."),
    OTHER: ("wrong class", "In both, but as different classes."),
}
_OPACITY = 0.7


def is_error_layer(layer: Layer) -> bool:
    """Whether a layer is one that `show_errors` made."""
    return isinstance(layer, Labels) and "errors_of" in layer.metadata.get(convert.RESULT_KEY, {})


def show_errors(viewer: ViewerModel, errors: NDArray[np.uint8], place: Place) -> Labels:
    """Show an error map on top of all layers; an earlier one of this package is replaced in place."""
    old = next((x for x in viewer.layers if is_error_layer(x)), None)
    if old is not None and old.ndim == errors.ndim and lies_at(old, place):
        old.data = errors
        old.name = _name(place)
        old.metadata = {convert.RESULT_KEY: _record(place)}
        old.visible = True
        return old
    selected = tuple(viewer.layers.selection)
    if old is not None:
        viewer.layers.remove(old)
    layer: Labels = viewer.add_labels(
        errors,
        name=_name(place),
        opacity=_OPACITY if old is None else old.opacity,
        colormap=_colormap(),
        features={"index": list(MEANING), "meaning": [text for text, _ in MEANING.values()]},
        metadata={convert.RESULT_KEY: _record(place)},
        **place.geometry,
    )
    # What is painted here would be lost with the next comparison.
    layer.editable = False
    viewer.layers.selection = [x for x in selected if x in viewer.layers]
    return layer


def _colormap() -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    return DirectLabelColormap(color_dict=colors | COLORS)


def _name(place: Place) -> str:
    return f"{place.name} [errors]"


def _record(place: Place) -> dict[str, str]:
    """Give what the layer says about itself in its metadata."""
    return {"errors_of": place.name} | ({"image": place.image} if place.image else {})
