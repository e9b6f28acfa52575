"""The pixel size of a layer: where it comes from, reading what a user types, setting it, going back."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image, Labels

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.sem.describe import describe, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

NM = {"nm": 1.0, "um": 1e3, "mm": 1e6}
SMALLEST_NM = 0.01
LARGEST_NM = 1e6
_OPENED_KEY = "micro_ktnet_opened"
_SAME = 1e-5

Source = Literal["layer", "metadata", "estimated", "user", "none"]


@dataclass(frozen=True)
class Opened:
    """How a layer was before a user set its pixel size.

    Attributes
    ----------
    scale : tuple of float
        ``(y, x)``.
    units : tuple of str
        ``(y, x)``.
    image : SEMImage or None
        What the file said.
    stated : tuple of float or None
        What the user set last, nm, ``(y, x)``.
    """

    scale: tuple[float, float]
    units: tuple[str, str]
    image: SEMImage | None
    stated: tuple[float, float] | None = None


def same_size(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    """Whether two pixel sizes are the same for all purposes; also if both are unknown."""
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=_SAME, atol=0))


def size_text(size: tuple[float, float]) -> str:
    """Write a pixel size ``(y, x)`` in nm for people; x first, as microscopes do."""
    unit = "nm" if max(size) < NM["um"] else "um"
    y, x = (number(value / NM[unit]) for value in size)
    return f"{x} {unit}" if y == x or abs(size[0] / size[1] - 1) < _SAME else f"{x} x {y} {unit} (x, y)"


def read_length(text: str, unit: str) -> float:
    """Read a length that a user typed.

    Parameters
    ----------
    text : str
        The number.
    unit : {"nm", "um", "mm"}
        Its unit.

    Returns
    -------
    float
        nm.

    Raises
    ------
    InputError
        If it is not a positive number.
    """
    try:
        value = float(text)
    except ValueError:
        hint = " (with a point, not a comma)" if "," in text else ""
        raise InputError(f"{text.strip()!r} is not a number: write it like 3.25{hint}.") from None
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{text.strip()} {unit} is no length: it must be more than 0.")
    return value * NM[unit]


def check_pixel_size(nm: float) -> float:
    """Give a pixel size back if a microscope can have it.

    Raises
    ------
    InputError
        If it is below 0.01 nm or above 1 mm.
    """
    if not SMALLEST_NM <= nm <= LARGEST_NM:
        raise InputError(
            f"A pixel of {nm:.3g} nm cannot be: 0.01 nm to 1 mm is possible. Check the number and its unit."
        )
    return nm


def source_of(layer: Image) -> Source:
    """Say where the pixel size that the layer has now comes from."""
    size = convert.pixel_size_nm(layer)
    image, before = sem_of(layer), layer.metadata.get(_OPENED_KEY)
    if image is not None and same_size(size, image.pixel_size):
        return image.pixel_size_source
    if size is not None and isinstance(before, Opened) and same_size(size, before.stated):
        return "user"
    return "none" if size is None else "layer"


def sem_of(layer: Layer) -> SEMImage | None:
    """Find the SEM image in a layer's metadata, also where its pixels are others by now."""
    image = layer.metadata.get(convert.SEM_KEY)
    return image if isinstance(image, SEMImage) else None


def opened(layer: Image) -> Opened | None:
    """Find what the layer can be reset to; None where its pixel size was not changed."""
    found = layer.metadata.get(_OPENED_KEY)
    if isinstance(found, Opened):
        return found
    image = sem_of(layer)
    if image is not None and not same_size(convert.pixel_size_nm(layer), image.pixel_size):
        return Opened(*_placing(image.pixel_size), image)
    return None


def companions(layers: Iterable[Layer], image: Image) -> list[Layer]:
    """Layers on the grid of an image, which must be scaled with it to stay where they are on it.

    Parameters
    ----------
    layers : iterable of Layer
        All layers of a viewer.
    image : Image
        The image layer.

    Returns
    -------
    list of Layer
        Those with the same scale, units, translation and rotation of the last two axes.
        Labels and results must have the image's shape; other images count only if they come from
        the same file. What was made from another image never counts.
    """
    others = {x.name for x in layers if isinstance(x, Image) and x is not image}
    return [x for x in layers if x is not image and _placed_alike(x, image) and _belongs(x, image, others)]


def set_pixel_size(layers: Sequence[Layer], size: tuple[float, float]) -> None:
    """Give layers a pixel size that a user states.

    Parameters
    ----------
    layers : sequence of Layer
        Image layers remember what they were; a SEM image in their metadata is replaced by one whose
        pixel size comes from the user. Positions of pixels relative to each other are kept.
    size : tuple of float
        nm, ``(y, x)``.
    """
    for layer in layers:
        if isinstance(layer, Image) and convert.RESULT_KEY not in layer.metadata:
            image = sem_of(layer)
            scale = (float(layer.scale[-2]), float(layer.scale[-1]))
            units = (str(layer.units[-2]), str(layer.units[-1]))
            before = opened(layer) or Opened(scale, units, image)
            stated: dict[str, Any] = {_OPENED_KEY: replace(before, stated=size)}
            if image is not None:
                stated[convert.SEM_KEY] = replace(image, pixel_size=size, pixel_size_source="user")
            layer.metadata = {**layer.metadata, **stated}
        _place(layer, *_placing(size))


def reset_pixel_size(layers: Sequence[Layer]) -> None:
    """Undo `set_pixel_size`; the first layer is the image that says where the others go."""
    first = layers[0]
    before = opened(first) if isinstance(first, Image) else None
    if before is None:
        return
    for layer in layers:
        own = (opened(layer) if isinstance(layer, Image) else None) or before
        _place(layer, own.scale, own.units)
        if _OPENED_KEY in layer.metadata:
            kept = {k: v for k, v in layer.metadata.items() if k not in (_OPENED_KEY, convert.SEM_KEY)}
            layer.metadata = kept | ({convert.SEM_KEY: own.image} if own.image else {})


@contextmanager
def keeping_view(viewer: ViewerModel, image: Image) -> Iterator[None]:
    """Let the canvas go on showing the same pixels of an image whose scale is changed meanwhile."""
    # napari 0.9 moved the camera.
    camera = getattr(viewer, "scene", viewer).camera
    old = np.array(image.scale[-2:])
    offset = np.array(camera.center[-2:]) - image.translate[-2:]
    yield
    if viewer.dims.ndisplay != 2:
        viewer.reset_view()
        return
    ratio = np.abs(image.scale[-2:] / old)
    camera.center = (*camera.center[:-2], *(offset * ratio + image.translate[-2:]))
    camera.zoom /= float(np.sqrt(ratio.prod()))


def describe_layer(layer: Image) -> dict[str, Any]:
    """Describe an image layer with the keys of `sem.describe`, as it is now.

    The pixel size is that of the layer; its source may also be ``"layer"``. Of a layer that was not
    opened by this package's reader the data bar is not known.
    """
    image = sem_of(layer) or SEMImage(convert.full_data(layer), rgb=bool(layer.rgb), name=layer.name)
    own_pixels = convert.sem_image_of(layer) is not None
    if not own_pixels:
        image = replace(image, pixels=convert.full_data(layer), rgb=bool(layer.rgb), data_bar=None)
    size = convert.pixel_size_nm(layer)
    # Through micrometres and back the last digits are lost.
    description = describe(image if same_size(size, image.pixel_size) else replace(image, pixel_size=size))
    description["pixel_size_source"] = source_of(layer)
    if description["file"] is None and layer.source.path:
        description["file"] = str(layer.source.path)
    if not own_pixels:
        description["data_bar_rows"] = None
    return description


def _placing(size: tuple[float, float] | None) -> tuple[tuple[float, float], tuple[str, str]]:
    """Scale and units of a pixel size, as the reader sets them."""
    keywords = convert.spatial_keywords(2, size)
    return keywords.get("scale", (1.0, 1.0)), keywords.get("units", ("pixel", "pixel"))


def _place(layer: Layer, scale: tuple[float, float], units: tuple[str, str]) -> None:
    old = np.array(layer.scale, float)
    new = old.copy()
    # A layer that was mirrored stays so.
    new[-2:] = np.copysign(scale, old[-2:])
    translate = np.array(layer.translate, float) * np.abs(new / old)
    layer.units = (*(str(unit) for unit in layer.units[:-2]), *units)
    layer.scale = new
    layer.translate = translate


def _placed_alike(layer: Layer, image: Image) -> bool:
    if layer.ndim < 2 or tuple(layer.units[-2:]) != tuple(image.units[-2:]):
        return False
    places = [(x.scale[-2:], x.translate[-2:], x.rotate[-2:, -2:]) for x in (layer, image)]
    return all(np.allclose(a, b, rtol=_SAME, atol=1e-12) for a, b in zip(*places, strict=True))


def _belongs(layer: Layer, image: Image, other_images: set[str]) -> bool:
    record = layer.metadata.get(convert.RESULT_KEY)
    if isinstance(record, dict) and record.get("image") in other_images - {image.name}:
        return False
    if isinstance(layer, Image):
        return convert.grid_shape(layer) == convert.grid_shape(image) and (
            record is not None or _same_file(layer, image)
        )
    if isinstance(layer, Labels):
        return tuple(convert.full_data(layer).shape)[-2:] == convert.grid_shape(image)[-2:]
    return True


def _same_file(one: Image, other: Image) -> bool:
    images = (sem_of(one), sem_of(other))
    paths = [image.path for image in images if image is not None and image.path is not None]
    return len(paths) == 2 and paths[0] == paths[1]
