"""Labels -> separate agglomerates: holes filled, touching ones split on demand, small ones dropped."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from napari_micro_ktnet.errors import InputError

Border = Literal["keep", "exclude", "weight"]

_EIGHT = np.ones((3, 3), bool)
_OBJECTS_A_STEP = 100
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ObjectOptions:
    """How labels become objects.

    Attributes
    ----------
    split : float, optional
        Depth in pixels from which touching objects are separated; not at all by default. See `split_objects`.
    min_size_um, min_size_px : float, optional
        Least equivalent circular diameter; only one of the two may be given.
    fill_holes : bool
        Holes count as part of the object around them.
    border : {"keep", "exclude", "weight"}
        What objects that touch the edge of the analysed region mean for sizes and counts: nothing
        special; left out; left out, and the others count the more the larger they are, since large ones
        touch the edge more often.

    Raises
    ------
    InputError
        An option is out of range.
    """

    split: float | None = None
    min_size_um: float | None = None
    min_size_px: float | None = None
    fill_holes: bool = False
    border: Border = "keep"

    def __post_init__(self) -> None:
        for name in ("split", "min_size_um", "min_size_px"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"The option {name} must be a number from 0 up, found {value}.")
        if self.min_size_um is not None and self.min_size_px is not None:
            raise InputError("Both min_size_um and min_size_px were given. Give one of them.")
        if self.border not in ("keep", "exclude", "weight"):
            raise InputError(f"The border rule must be keep, exclude or weight, found {self.border!r}.")


def find_agglomerates(
    labels: ArrayLike,
    options: ObjectOptions | None = None,
    analysed: NDArray[np.bool_] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> NDArray[np.int32]:
    """Separate labels into numbered objects.

    Neighbouring pixels, diagonal ones too, are one object if they have the same label. So class labels,
    masks of 0 and 1 (or 255) and labels that number the objects already all work.

    Parameters
    ----------
    labels : integer or bool ndarray, (Y, X)
        0 is matrix.
    options : ObjectOptions, optional
        By default nothing is split, filled or dropped.
    analysed : ndarray of bool, (Y, X), optional
        False where labels mean nothing (data bar, outside the region); all by default.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``; needed for a least size in um.

    Returns
    -------
    ndarray of int32, (Y, X)
        0 for matrix, objects from 1 without gaps.

    Raises
    ------
    InputError
        Labels are no integers, negative, empty or of another shape than `analysed`; or a least size in um
        is given without a pixel size.
    """
    return _drained(iter_agglomerates(labels, options, analysed, pixel_size))


def iter_agglomerates(
    labels: ArrayLike,
    options: ObjectOptions | None = None,
    analysed: NDArray[np.bool_] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> Generator[tuple[int, int], None, NDArray[np.int32]]:
    """Do the same as `find_agglomerates` in small steps, so that it can be stopped.

    Yields
    ------
    done, total : int
        Objects that were looked at for necks, and how many there are.

    Raises
    ------
    InputError
        As `find_agglomerates` does.
    """
    options = options or ObjectOptions()
    values = check_labels(labels)
    least_area = _least_area(options, pixel_size)
    if analysed is not None:
        if analysed.shape != values.shape:
            raise InputError(
                f"The labels have the shape {values.shape} and the mask of the analysed region "
                f"{analysed.shape}. Expected the same (Y, X) for both."
            )
        values = np.where(analysed, values, 0)
    if options.fill_holes:
        values = _fill_holes(values, analysed)
    objects = _components(values)
    if options.split is not None:
        objects = yield from iter_split(objects, options.split)
    areas = np.bincount(objects.ravel())
    areas[0] = 0
    # An object of exactly the least size stays, whatever the last digit of pi.
    kept = areas >= max(least_area * (1 - _ROUNDING), 1)
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return number[objects]


def _drained(steps: Generator[object, None, NDArray[np.int32]]) -> NDArray[np.int32]:
    """Give what a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return np.asarray(stop.value)


def check_labels(labels: ArrayLike) -> NDArray[Any]:
    """Give labels as an array, or say what is wrong with them.

    Raises
    ------
    InputError
        They are not a non-empty array ``(Y, X)`` of integers from 0 up.
    """
    values = np.asarray(labels)
    if values.dtype.kind not in "bui":
        raise InputError(
            f"The labels are of type {values.dtype}, expected integers. For a probability image, apply a "
            "threshold first; for whole numbers stored as float, convert them with labels.astype(int)."
        )
    if values.ndim != 2:
        raise InputError(
            f"The labels have the shape {values.shape}, expected one image (Y, X). "
            "Give the slices of a stack as a list of images."
        )
    if values.size == 0:
        raise InputError(f"The labels are empty: shape {values.shape}, expected at least one pixel.")
    if values.dtype.kind == "i" and values.min() < 0:
        raise InputError(f"The labels go down to {values.min()}, expected 0 for matrix and objects from 1.")
    return values


def split_objects(objects: NDArray[np.int32], depth: float) -> NDArray[np.int32]:
    """Separate touching objects by a watershed on their distance map.

    An object falls apart where its distance to the edge has several maxima, each of which rises by more
    than `depth` above the pass to a higher one (Vincent 1993, IEEE Trans. Image Process. 2(2), 176-201, for
    the h-maxima by reconstruction; Beucher & Lantuejoul 1979 for the watershed). No pixel is lost.

    Parameters
    ----------
    objects : ndarray of int32, (Y, X)
        0 and objects from 1.
    depth : float
        In pixels: the neck between two parts must be narrower than the smaller part by more than twice this.

    Returns
    -------
    ndarray of int32, (Y, X)
        One part of a split object keeps its number, the others get new ones.
    """
    return _drained(iter_split(objects, depth))


def iter_split(
    objects: NDArray[np.int32], depth: float
) -> Generator[tuple[int, int], None, NDArray[np.int32]]:
    """Do the same as `split_objects`, and yield after some objects how many are done, of how many."""
    out = objects.copy()
    total = last = int(objects.max())
    for number, box in enumerate(ndimage.find_objects(objects), 1):
        if number % _OBJECTS_A_STEP == 0:
            yield number, total
        # A maximum is at most half the short side and a pixel's half high, a pass at least one pixel.
        if box is None or min(s.stop - s.start for s in box) <= 2 * depth + 1:
            continue
        inside = np.pad(objects[box] == number, 1)
        distance = ndimage.distance_transform_edt(inside)
        lowered = reconstruction(np.maximum(distance - depth, 0), distance)
        seeds, count = ndimage.label(local_maxima(lowered) & inside, _EIGHT)
        if count < 2:
            continue
        parts = watershed(-distance, seeds, mask=inside, connectivity=2)[1:-1, 1:-1]
        out[box][parts > 1] = parts[parts > 1] + (last - 1)
        last += count - 1
    return out


def _least_area(options: ObjectOptions, pixel_size: tuple[float, float] | None) -> float:
    """Pixels that an object must have at least."""
    if options.min_size_px is not None:
        return math.pi / 4 * options.min_size_px**2
    if not options.min_size_um:
        return 0.0
    if pixel_size is None:
        raise InputError(
            f"A least size of {options.min_size_um:g} um was asked for, but the pixel size is not known. "
            "Give the pixel size, or the least size in pixels."
        )
    return math.pi / 4 * options.min_size_um**2 * 1e6 / (pixel_size[0] * pixel_size[1])


def _components(values: NDArray[Any]) -> NDArray[np.int32]:
    top = values.max()
    mask = values == top
    if top == 0:
        return np.zeros(values.shape, np.int32)
    if np.count_nonzero(mask) == np.count_nonzero(values):
        return np.asarray(ndimage.label(mask, _EIGHT, output=np.int32)[0])
    return np.asarray(label(values.astype(np.int64), connectivity=2), np.int32)


def _fill_holes(values: NDArray[Any], analysed: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Give holes the label around them; what touches two labels or the edge is no hole."""
    # Where objects are 8-connected, what is between them is 4-connected.
    free = np.pad(values == 0, 1, constant_values=True)
    gaps = ndimage.label(free)[0]
    open_gaps = np.zeros(gaps.max() + 1, bool)
    open_gaps[[0, gaps[0, 0]]] = True
    if analysed is not None:
        open_gaps[gaps[1:-1, 1:-1][~analysed]] = True
    around = np.pad(values, 1)
    low = np.full(len(open_gaps), np.iinfo(np.int64).max)
    high = np.zeros(len(open_gaps), np.int64)
    for axis in (0, 1):
        first, second = (np.moveaxis(a, axis, 0) for a in (gaps, around))
        for gap, other in ((first[:-1], second[1:]), (first[1:], second[:-1])):
            where = (gap > 0) & (other > 0)
            np.minimum.at(low, gap[where], other[where].astype(np.int64))
            np.maximum.at(high, gap[where], other[where].astype(np.int64))
    fill = np.where(~open_gaps & (low == high), high, 0)
    return np.asarray(np.where(values == 0, fill[gaps[1:-1, 1:-1]], values))
