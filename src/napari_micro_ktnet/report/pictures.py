"""Pictures of fields: agglomerates coloured by size class, and the largest of them one by one."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, fields
from io import BytesIO

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.agglomerates import ObjectOptions, find_agglomerates
from napari_micro_ktnet.measurement.fields import FieldMeasurement, LabelField
from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.report.colors import NOT_COUNTED, class_colors
from napari_micro_ktnet.report.figures import unit_of

_WIDEST = 1000
_CROP = 260
_FILL = 0.22
_LEAST_CROP_PX = 40


@dataclass(frozen=True)
class FieldPicture:
    """A field with its objects drawn; pixels as the page needs them.

    Attributes
    ----------
    grey : ndarray of uint8, (Y, X)
        The analysed rows and columns, contrast stretched.
    objects : ndarray of int32, (Y, X)
        Numbered as in the table.
    colors : ndarray of uint8, (N + 1, 3)
        Of every object; the first is not used.
    """

    grey: NDArray[np.uint8]
    objects: NDArray[np.int32]
    colors: NDArray[np.uint8]
    pixel_size: tuple[float, float] | None
    corner: tuple[int, int]


def prepare(field: LabelField, measured: FieldMeasurement, measurement: Measurement) -> FieldPicture:
    """Find the objects of a field again and give them their colours.

    Raises
    ------
    InputError
        The labels are no longer those that were measured.
    """
    parameters = measurement.record.parameters
    options = ObjectOptions(**{f.name: parameters[f.name] for f in fields(ObjectOptions)})
    objects = find_agglomerates(field.labels, options, field.analysed, field.pixel_size)
    if int(objects.max()) != len(measured.table):
        raise InputError(
            f"{field.file or field.name}: there are {objects.max()} agglomerates in the labels, but "
            f"{len(measured.table)} were measured. The labels have changed since: measure them again."
        )
    region = measured.region
    rows, columns = slice(region.top, region.bottom), slice(region.left, region.right)
    grey = np.zeros(objects.shape, np.uint8) if field.grey is None else field.grey
    return FieldPicture(
        _stretched(grey[rows, columns]),
        objects[rows, columns],
        _object_colors(measured, measurement),
        field.pixel_size,
        (region.top, region.left),
    )


def overlay(picture: FieldPicture) -> Markup:
    """Draw a whole field, every object in the colour of its size class."""
    height, width = picture.grey.shape
    factor = math.ceil(max(height, width) / _WIDEST)
    grey = np.asarray(Image.fromarray(picture.grey).reduce(factor))
    # The largest number in a block, so that no small object gets lost.
    objects = _block_max(picture.objects, factor)[: grey.shape[0], : grey.shape[1]]
    rgb = _painted(grey, objects, picture.colors)
    return _framed(rgb, (height, width), picture.pixel_size, 400)


def crop(picture: FieldPicture, box: tuple[int, ...], number: int) -> Markup:
    """Draw one object with what is around it.

    Parameters
    ----------
    picture : FieldPicture
        Its field.
    box : tuple of int
        Top, left, bottom, right in the whole image.
    number : int
        Of the object.
    """
    top, bottom = box[0] - picture.corner[0], box[2] - picture.corner[0]
    left, right = box[1] - picture.corner[1], box[3] - picture.corner[1]
    high, wide = picture.pixel_size or (1.0, 1.0)
    side = max(1.6 * (bottom - top) * high, 1.6 * (right - left) * wide, _LEAST_CROP_PX * min(high, wide))
    rows = _window((top + bottom) / 2, side / high, picture.grey.shape[0])
    columns = _window((left + right) / 2, side / wide, picture.grey.shape[1])
    grey, inside = picture.grey[rows, columns], picture.objects[rows, columns] == number
    true_height, true_width = grey.shape[0] * high, grey.shape[1] * wide
    unit = _CROP / max(true_height, true_width)
    size = (max(round(true_width * unit), 1), max(round(true_height * unit), 1))
    enlarged = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    mask = np.asarray(Image.fromarray(inside.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    outline = _outline(mask.astype(np.int32), 2)
    rgb = np.repeat(enlarged[..., None], 3, axis=2)
    rgb[outline] = picture.colors[number]
    return _framed(rgb, grey.shape, picture.pixel_size, 170)


def _object_colors(measured: FieldMeasurement, measurement: Measurement) -> NDArray[np.uint8]:
    classes = measurement.pooled.size_classes
    palette = np.array([_rgb(c) for c in class_colors(max(len(classes), 1))], np.uint8)
    out = np.full((len(measured.table) + 1, 3), _rgb(NOT_COUNTED), np.uint8)
    counted = np.asarray(measured.table["weight"] > 0)
    unit = unit_of(measurement)
    if classes and unit:
        lows = np.array([c.low for c in classes])
        where = np.searchsorted(lows, measured.table[f"ecd_{unit}"], side="right") - 1
        out[1:][counted] = palette[np.clip(where, 0, None)[counted]]
    else:
        out[1:][counted] = palette[0]
    return out


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Bring nearly all grey values to 0..255."""
    numbers = np.nan_to_num(values.astype(np.float32))
    low, high = np.percentile(numbers[:: max(1, numbers.shape[0] // 512)], (0.2, 99.8))
    numbers -= low
    numbers *= 255 / max(high - low, 1e-12)
    return np.clip(numbers, 0, 255, out=numbers).astype(np.uint8)


def _block_max(values: NDArray[np.int32], factor: int) -> NDArray[np.int32]:
    if factor == 1:
        return values
    short = [-n % factor for n in values.shape]
    padded = np.pad(values, [(0, short[0]), (0, short[1])])
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return np.asarray(blocks.max(axis=(1, 3)))


def _outline(objects: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Pixels of objects within `width` of something else."""
    inner = objects > 0
    for _ in range(width):
        held = np.where(inner, objects, 0)
        padded = np.pad(held, 1, mode="edge")
        for rows, columns in (
            ((0, -2), (1, -1)),
            ((2, None), (1, -1)),
            ((1, -1), (0, -2)),
            ((1, -1), (2, None)),
        ):
            inner &= padded[slice(*rows), slice(*columns)] == objects
    return (objects > 0) & ~inner


def _painted(
    grey: NDArray[np.uint8], objects: NDArray[np.int32], colors: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    rgb = np.repeat(grey[..., None], 3, axis=2)
    inside, edge = objects > 0, _outline(objects, 1 + max(grey.shape) // 700)
    mixed = (1 - _FILL) * rgb[inside] + _FILL * colors[objects[inside]]
    rgb[inside] = mixed.astype(np.uint8)
    rgb[edge] = colors[objects[edge]]
    return rgb


def _window(middle: float, length: float, extent: int) -> slice:
    """Pixels around a middle, moved inside where they would stick out."""
    count = min(max(math.ceil(length), 1), extent)
    first = min(max(round(middle - count / 2), 0), extent - count)
    return slice(first, first + count)


def _framed(
    rgb: NDArray[np.uint8], shape: tuple[int, ...], pixel_size: tuple[float, float] | None, width: float
) -> Markup:
    """Give a picture with a scale bar.

    Parameters
    ----------
    rgb : ndarray of uint8, (Y, X, 3)
        What is shown, of any resolution.
    shape : tuple of int
        Pixels of the image that it shows.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``.
    width : float
        Of the view box; the smaller, the larger the scale bar's text.
    """
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=86, subsampling=0)
    high, wide = pixel_size or (1.0, 1.0)
    true_height, true_width = shape[0] * high, shape[1] * wide
    height = width * true_height / true_width
    length = _bar_length(true_width / 2.5)
    bar = length / true_width * width
    text = _bar_text(length, pixel_size)
    box = max(bar, 7 * len(text)) + 12
    return Markup(
        '<svg viewBox="0 0 {width:g} {height:.1f}" role="img" aria-label="{text}">'
        '<image href="data:image/jpeg;base64,{data}" width="{width:g}" height="{height:.1f}"'
        ' preserveAspectRatio="none"/>'
        '<rect x="6" y="{box_y:.1f}" width="{box:.1f}" height="26" rx="3" fill="#000" fill-opacity="0.6"/>'
        '<rect x="{bar_x:.1f}" y="{bar_y:.1f}" width="{bar:.1f}" height="3" fill="#fff"/>'
        '<text x="{middle:.1f}" y="{text_y:.1f}" text-anchor="middle" font-size="13" fill="#fff">'
        "{text}</text>"
        "</svg>"
    ).format(
        width=width,
        height=height,
        data=base64.b64encode(buffer.getvalue()).decode(),
        box=box,
        box_y=height - 32,
        bar=bar,
        bar_x=6 + (box - bar) / 2,
        bar_y=height - 13,
        middle=6 + box / 2,
        text_y=height - 17,
        text=text,
    )


def _bar_length(most: float) -> float:
    """Largest of 1, 2, 5, 10, ... up to this; never less than a pixel's worth of it."""
    decade = 10.0 ** math.floor(math.log10(most))
    return max(float(s * decade) for s in (1, 2, 5) if s * decade <= most * (1 + 1e-9))


def _bar_text(length: float, pixel_size: tuple[float, float] | None) -> str:
    if pixel_size is None:
        return f"{length:g} px"
    return f"{length:g} nm" if length < 1000 else f"{length / 1000:g} \u00b5m"
