"""The analysed part of a field, and what its edge does to the objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.agglomerates import Border

Boxes = tuple[NDArray[np.int64], ...]
"""Top, left, bottom and right of every object; bottom and right are one past it."""


@dataclass(frozen=True)
class Region:
    """The analysed part of a field.

    Attributes
    ----------
    top, bottom, left, right : int
        Rows ``[top, bottom)`` and columns ``[left, right)`` around it.
    pixels : int
        How many pixels are analysed.
    """

    top: int
    bottom: int
    left: int
    right: int
    pixels: int

    @property
    def is_rectangle(self) -> bool:
        """True if every pixel inside the bounds is analysed."""
        return self.pixels == (self.bottom - self.top) * (self.right - self.left)


def find_region(shape: tuple[int, ...], analysed: NDArray[np.bool_] | None) -> Region:
    """Bounds and size of the analysed part of an image ``(Y, X)``.

    Raises
    ------
    InputError
        Nothing is analysed.
    """
    if analysed is None:
        return Region(0, shape[0], 0, shape[1], shape[0] * shape[1])
    rows, columns = (np.flatnonzero(analysed.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("No pixel is analysed. Expected a mask that is True for at least one.")
    bounds = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    return Region(*bounds, int(np.count_nonzero(analysed)))


def border_weights(
    at_border: NDArray[np.bool_], box: Boxes, region: Region, rule: Border
) -> NDArray[np.float64]:
    """How much each object counts in sizes and numbers.

    Parameters
    ----------
    at_border : ndarray of bool, (N,)
        Which objects touch the edge of the region.
    box : tuple of ndarray of int, (N,)
        Top, left, bottom, right.
    region : Region
        The analysed region.
    rule : {"keep", "exclude", "weight"}
        keep: all 1. exclude: 0 for objects at the edge. weight: 0 for them, and for the others
        ``W H / ((W - w) (H - h))`` with the sizes of region and bounding box: the inverse of the chance
        that such an object lies wholly inside (Miles & Lantuejoul; ISO 13322-1).

    Raises
    ------
    InputError
        The rule is "weight" and the region is no rectangle.
    """
    if rule == "keep":
        return np.ones(len(at_border))
    if rule == "exclude":
        return np.where(at_border, 0.0, 1.0)
    if not region.is_rectangle:
        raise InputError(
            "The border rule 'weight' needs a rectangular analysed region, but this one is not: some pixels "
            "inside were left out, or are no finite numbers. Use 'exclude' or 'keep'."
        )
    top, left, bottom, right = box
    height, width = region.bottom - region.top, region.right - region.left
    free = (width - (right - left)) * (height - (bottom - top))
    return np.where(at_border, 0.0, height * width / np.where(at_border, 1, free))


def touching(
    objects: NDArray[np.int32], box: Boxes, region: Region, analysed: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Tell which objects touch the edge of the analysed region.

    Parameters
    ----------
    objects : ndarray of int32, (Y, X)
        Numbered from 1.
    box : tuple of ndarray of int, (N,)
        Their bounding boxes.
    region : Region
        Of `analysed`.
    analysed : ndarray of bool, (Y, X), optional
        All by default.
    """
    if analysed is None or region.is_rectangle:
        top, left, bottom, right = box
        at_rows = (top == region.top) | (bottom == region.bottom)
        return np.asarray(at_rows | (left == region.left) | (right == region.right))
    # With 8 neighbours, as objects are connected.
    inner = ndimage.binary_erosion(analysed, np.ones((3, 3), bool))
    found = np.zeros(len(box[0]) + 1, bool)
    found[objects[analysed & ~inner]] = True
    return found[1:]
