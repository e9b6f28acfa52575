"""Where results lie in the world, a box around one of them, and where the camera looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Shapes

from napari_micro_ktnet.gui import layers as convert

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

_BOX_COLOR = "#00e5ff"
_ROOM = 4.0
_LEAST_VIEW = 48.0


@dataclass(frozen=True, eq=False)
class Place:
    """Where results lie: what is needed of a layer, even after it was deleted.

    Attributes
    ----------
    name : str
        Of the layer that they were made from.
    image : str
        Name of the image that it belongs to; may be empty.
    ndim : int
        2, or 3 for a stack.
    geometry : dict
        Keywords as from `layers.geometry`.
    """

    name: str
    image: str
    ndim: int
    geometry: dict[str, Any]


def whole(height: int, width: int) -> NDArray[np.float64]:
    """Give a box to look at an image of this size as a whole."""
    middle = np.array([height, width, height, width]) / 2
    # The camera shows a box with its surroundings.
    return middle + max(height, width) / (2 * _ROOM) * np.array([-1, -1, 1, 1])


def show_box(viewer: ViewerModel, corners: NDArray[np.float64], place: Place, slice_index: int) -> None:
    """Draw a box around an object; the earlier one goes.

    Parameters
    ----------
    viewer : ViewerModel
        Where.
    corners : ndarray of float, (4,)
        Top, left, bottom, right in pixels; ``[top, bottom)``.
    place : Place
        What the object lies on.
    slice_index : int
        Slice of a stack.
    """
    remove_box(viewer)
    top, left, bottom, right = corners
    room = max(1.0, 0.06 * max(bottom - top, right - left))
    y0, x0, y1, x1 = top - 0.5 - room, left - 0.5 - room, bottom - 0.5 + room, right - 0.5 + room
    points = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])
    if place.ndim == 3:
        points = np.column_stack([np.full(4, float(slice_index)), points])
    selected = tuple(viewer.layers.selection)
    layer = Shapes(
        [points],
        shape_type="rectangle",
        ndim=place.ndim,
        name="chosen object",
        face_color="transparent",
        edge_color=_BOX_COLOR,
        edge_width=max(0.4, 0.02 * max(y1 - y0, x1 - x0)),
        metadata={
            convert.RESULT_KEY: {"box_of": place.name} | ({"image": place.image} if place.image else {})
        },
        **place.geometry,
    )
    viewer.add_layer(layer)
    layer.editable = False
    viewer.layers.selection = [x for x in selected if x in viewer.layers]


def remove_box(viewer: ViewerModel) -> None:
    """Take the box away, if there is one."""
    for layer in [x for x in viewer.layers if "box_of" in x.metadata.get(convert.RESULT_KEY, {})]:
        viewer.layers.remove(layer)


def lies_at(layer: Layer, place: Place) -> bool:
    """Whether a layer already lies where it should."""
    new = place.geometry
    if tuple(layer.units) != tuple(new["units"]) or tuple(layer.axis_labels) != tuple(new["axis_labels"]):
        return False
    old = convert.geometry(layer)
    return all(np.allclose(old[n], new[n]) for n in ("scale", "translate", "rotate", "shear", "affine"))


def look_at_box(viewer: ViewerModel, corners: NDArray[np.float64], place: Place, slice_index: int) -> None:
    """Centre and zoom the camera on a box, with its surroundings; see `show_box`."""
    layer = Labels(np.zeros((1,) * place.ndim, np.uint8), **place.geometry)
    top, left, bottom, right = corners
    middle = [slice_index] * (place.ndim - 2) + [(top + bottom - 1) / 2, (left + right - 1) / 2]
    world = np.array(layer.data_to_world(middle), float)
    offset = viewer.dims.ndim - place.ndim
    for axis in range(place.ndim - 2):
        viewer.dims.set_point(axis + offset, float(world[axis]))
    # napari 0.9 moved the camera.
    camera = getattr(viewer, "scene", viewer).camera
    camera.center = (*camera.center[:-2], *world[-2:])
    side = max(_ROOM * max(bottom - top, right - left), _LEAST_VIEW)
    camera.zoom = min(_canvas_size(viewer)) / (side * float(np.max(np.abs(layer.scale[-2:]))))


def _canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    # napari 0.9 moved it.
    canvas = getattr(viewer, "canvas", None)
    height, width = canvas.size if canvas is not None else viewer._canvas_size
    return int(height), int(width)
