"""Between the core's objects and napari's layers: pixel sizes, geometry, colours, regions."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.sem import SEMImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer, Shapes
    from numpy.typing import NDArray

    from napari_micro_ktnet.model.spec import LabelClass

SEM_KEY = "sem_image"
RESULT_KEY = "micro_ktnet"
# Of labels that were read from a file as a model had made them.
SAVED_KEY = "micro_ktnet_saved"
_NM_PER_UM = 1000.0
_SAMPLE = 1_000_000
_SAMPLED_BLOCKS = 3
# Longer images go to the graphics card in parts only, and coarser copies of them are shown from afar.
_LONGEST_SIDE = 8192
_COARSEST_SIDE = 4096
_CLOSED = ("rectangle", "ellipse", "polygon")
# A label that the model does not have can only be painted by hand: it must be seen.
_OTHER_LABEL = "#ff40ff"


def image_layer_data(image: SEMImage, name: str = "") -> tuple[Any, dict[str, Any], str]:
    """Turn a SEM image into the data of an Image layer.

    Parameters
    ----------
    image : SEMImage
        Pixels ``(Y, X)``, ``(Z, Y, X)`` or ``(Y, X, 3 | 4)``.
    name : str, optional
        Layer name, the image's own without it.

    Returns
    -------
    tuple
        Pixels, keywords of the layer, ``"image"``. A calibrated image has micrometres as units, an
        uncalibrated one pixels; ``metadata["sem_image"]`` holds the image itself. Of an image with a
        side above 8192 pixels: a list of pixels and coarser and coarser copies of them (multiscale).
    """
    keywords: dict[str, Any] = {
        "name": name or image.name,
        "rgb": image.rgb,
        "metadata": {SEM_KEY: image},
        **spatial_keywords(2 if image.rgb else image.pixels.ndim, image.pixel_size),
    }
    limits = None if image.rgb else contrast_limits(image)
    if limits is not None:
        keywords["contrast_limits"] = limits
    return _levels(image), keywords, "image"


def _levels(image: SEMImage) -> Any:
    """Pixels, or a list of them and every 2nd, 4th ... of them."""
    longest = max(image.height, image.width)
    if longest <= _LONGEST_SIDE:
        return image.pixels
    levels: list[Any] = [image.pixels]
    step = 2
    while longest > _COARSEST_SIDE * step // 2:
        # Taken from the middle of what a pixel stands for, because napari places it there.
        y, x = (slice(step // 2, None, step),) * 2
        levels.append(image.pixels[(y, x, slice(None)) if image.rgb else (..., y, x)])
        step *= 2
    if not image.rgb and image.pixels.ndim == 2:
        # It is shown first and most often: read once.
        levels[-1] = np.asarray(levels[-1])
    return levels


def labels_layer_data(image: SEMImage, name: str) -> tuple[Any, dict[str, Any], str]:
    """Turn labels ``(Y, X)`` or ``(Z, Y, X)`` that were read from a file into the data of a Labels layer."""
    return image.pixels, {"name": name, **spatial_keywords(image.pixels.ndim, image.pixel_size)}, "labels"


def spatial_keywords(ndim: int, pixel_size: tuple[float, float] | None) -> dict[str, Any]:
    """Scale, units and axis labels of a layer with `ndim` axes; `pixel_size` in nm, ``(y, x)``."""
    labels = ("z", "y", "x")[-ndim:]
    if pixel_size is None:
        return {"axis_labels": labels}
    scale = (1.0, *(size / _NM_PER_UM for size in pixel_size))[-ndim:]
    units = ("pixel", "um", "um")[-ndim:]
    return {"axis_labels": labels, "scale": scale, "units": units}


def contrast_limits(image: SEMImage) -> tuple[float, float] | None:
    """Grey values to show as black and white, from the rows above the data bar; None if all are equal."""
    sample = _sample(image.pixels[..., image.analysed_rows, :])
    if sample.dtype.kind not in "uif" or sample.size == 0:
        return None
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
        if sample.size == 0:
            return None
    low, high = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    return (low, high) if high > low else None


def _sample(pixels: Any) -> NDArray[Any]:
    """Pixels spread over an image or stack ``(..., Y, X)``; of a dask array, some of its blocks only."""
    if not isinstance(pixels, np.ndarray):
        near = [np.unique(np.linspace(0, n - 1, _SAMPLED_BLOCKS).astype(int)) for n in pixels.numblocks]
        parts = [np.asarray(pixels.blocks[where]) for where in product(*near)]
        return np.concatenate([_sample(part).ravel() for part in parts])
    step = max(1, int(np.ceil(np.sqrt(pixels.size / _SAMPLE))))
    return pixels[..., ::step, ::step]


def pixel_size_nm(layer: Layer) -> tuple[float, float] | None:
    """Pixel size ``(y, x)`` in nm that a layer's scale and units say; None in pixel units."""
    return _size_nm(layer.scale, layer.units)


def pixel_size_from_meta(meta: dict[str, Any]) -> tuple[float, float] | None:
    """Do the same from the attributes that napari hands to a writer."""
    if meta.get("scale") is None or meta.get("units") is None:
        return None
    return _size_nm(meta["scale"], meta["units"])


def _size_nm(scale: Sequence[float], units: Sequence[Any]) -> tuple[float, float] | None:
    import pint

    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    sizes = []
    for factor, unit in zip(scale[-2:], units[-2:], strict=True):
        quantity = registry.Quantity(abs(float(factor)), str(unit))
        if not quantity.check("[length]"):
            return None
        sizes.append(float(quantity.to("nm").magnitude))
    return (sizes[0], sizes[1]) if min(sizes) > 0 else None


def sem_image_of(layer: Layer) -> SEMImage | None:
    """Find the SEM image that a layer was opened from, None where its pixels are others by now."""
    image = layer.metadata.get(SEM_KEY)
    if isinstance(image, SEMImage) and image.pixels.shape == np.shape(full_data(layer)):
        return image
    return None


def full_data(layer: Layer) -> Any:
    """Pixels of a layer at full resolution, as they are stored (numpy, dask, zarr)."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def grid_shape(layer: Image) -> tuple[int, ...]:
    """Shape ``(Y, X)`` or ``(Z, Y, X)`` of a layer's pixels, colour channels left out."""
    shape = tuple(int(n) for n in full_data(layer).shape)
    return shape[:-1] if layer.rgb else shape


def geometry(layer: Layer) -> dict[str, Any]:
    """Everything that places a layer in the world, as keywords for another layer of the same grid."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def class_colours(classes: Sequence[LabelClass]) -> Any:
    """Colour map of labels: 0 transparent, then the classes, anything else in magenta."""
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[int | None, Any] = {None: _OTHER_LABEL, 0: "transparent"}
    colours |= {value: each.color for value, each in enumerate(classes, 1)}
    return DirectLabelColormap(color_dict=colours)


def class_features(classes: Sequence[LabelClass]) -> dict[str, list[Any]]:
    """Features table of a Labels layer: one row a class."""
    return {"index": list(range(1, len(classes) + 1)), "class": [each.name for each in classes]}


def view_box(layer: Image) -> tuple[slice, slice]:
    """Rows and columns of a layer that the canvas shows now."""
    factors = layer.downsample_factors[layer.data_level][-2:] if layer.multiscale else np.ones(2)
    shape = grid_shape(layer)[-2:]
    first, last = (np.asarray(corner)[-2:] for corner in layer.corner_pixels)
    low = np.clip(np.floor(first * factors), 0, shape).astype(int)
    high = np.clip(np.ceil((last + 1) * factors), 0, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def has_area(shapes: Shapes) -> bool:
    """Whether a Shapes layer has a rectangle, ellipse or polygon; lines and paths enclose nothing."""
    return any(kind in _CLOSED for kind in shapes.shape_type)


def outlines(shapes: Shapes, image: Image) -> tuple[NDArray[np.float64], ...]:
    """Outlines of the closed shapes of a layer, ``(N, 2)`` in rows and columns of an image layer.

    Shapes that were drawn on one slice of a stack count for every slice.
    """
    found = []
    for vertices, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind in _CLOSED:
            points = _ellipse(vertices) if kind == "ellipse" else np.asarray(vertices, float)
            found.append(np.array([_to_pixels(point, shapes, image) for point in points]))
    return tuple(found)


def _ellipse(corners: NDArray[Any], count: int = 128) -> NDArray[np.float64]:
    """Points of the ellipse within four corners ``(4, D)``."""
    corners = np.asarray(corners, float)
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    half_a, half_b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    points: NDArray[np.float64] = corners.mean(0) + np.cos(turn) * half_a + np.sin(turn) * half_b
    return points


def _to_pixels(point: NDArray[np.float64], source: Layer, target: Layer) -> NDArray[np.float64]:
    world = np.array(source.data_to_world(point), float)[-target.ndim :]
    world[-2:] *= _unit_ratio(source, target)
    # A flat layer beside a stack says nothing about Z; any slice will do.
    world = np.concatenate([np.zeros(target.ndim - len(world)), world])
    return np.asarray(target.world_to_data(world))[-2:]


def _unit_ratio(source: Layer, target: Layer) -> NDArray[np.float64]:
    """How many of the target's units are one of the source's, ``(2,)``; 1 where they cannot be compared."""
    one = (1.0, 1.0)
    sizes = [_size_nm(one, layer.units[-2:]) for layer in (source, target)]
    if sizes[0] is None or sizes[1] is None:
        return np.ones(2)
    ratio: NDArray[np.float64] = np.divide(sizes[0], sizes[1])
    return ratio


def polygons_mask(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels ``(Y, X)`` whose centre is in any of the polygons ``(N, 2)``."""
    from skimage.draw import polygon

    mask = np.zeros(shape, bool)
    for points in polygons:
        inside = polygon(points[:, 0], points[:, 1], shape)
        mask[inside] = True
    return mask
