"""How well outlines agree.

Boundary IoU is that of Cheng et al. 2021, *Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation*: the IoU of the pixels no farther than a width inside each outline, where the edge of the image is
outline, too. Normalised surface distance (surface Dice) is that of Nikolov et al. 2018, arXiv:1809.04430: the
share of both outlines that lies within a tolerance of the other. The outline runs between pixels, as in
marching squares, and each piece counts by its length. The Hausdorff distance of the same outlines is taken
at 95 % of their length, and the larger of both directions counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_micro_ktnet.measurement.objects import ObjectTable
from napari_micro_ktnet.measurement.scores import ratio

WIDTH_SHARE = 0.02
"""Width for boundary IoU as a share of the image's diagonal (Cheng et al. 2021)."""

PERCENTILE = 0.95


@dataclass(frozen=True)
class BoundaryCounts:
    """What boundary scores are made of; counts of several images add up.

    Attributes
    ----------
    intersection, union : int
        Pixels near the outline in both masks, and in any.
    near, length : float
        Length of both outlines within the tolerance of the other, and in all, in pixels.
    hd95 : float
        Hausdorff distance at 95 % in pixels, NaN if a mask is empty; does not add up.
    """

    intersection: int = 0
    union: int = 0
    near: float = 0.0
    length: float = 0.0
    hd95: float = float("nan")

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.intersection + other.intersection,
            self.union + other.union,
            self.near + other.near,
            self.length + other.length,
        )

    @property
    def boundary_iou(self) -> float:
        """Boundary IoU; NaN if both masks are empty."""
        return ratio(self.intersection, self.union)

    @property
    def nsd(self) -> float:
        """Normalised surface distance; NaN if both masks are empty."""
        return ratio(self.near, self.length)


def boundary_width(shape: tuple[int, ...]) -> int:
    """Width for boundary IoU in pixels for an image of this shape ``(Y, X)``."""
    return max(1, round(WIDTH_SHARE * float(np.hypot(shape[0], shape[1]))))


def compare_boundaries(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    tolerance: float,
    width: int,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> BoundaryCounts:
    """Compare the outlines of two masks.

    Parameters
    ----------
    truth, prediction : ndarray of bool, (Y, X)
        Masks; what lies outside the arrays is background.
    tolerance : float
        For the normalised surface distance, in the unit of `spacing`.
    width : int
        For boundary IoU, in pixels, from 1.
    spacing : tuple of float
        Size of a pixel ``(y, x)``.

    Returns
    -------
    BoundaryCounts
        Lengths and distances in the unit of `spacing`.
    """
    first, second = _band(truth, width), _band(prediction, width)
    intersection = int(np.count_nonzero(first & second))
    union = int(np.count_nonzero(first)) + int(np.count_nonzero(second)) - intersection
    points, lengths = zip(*(outline(mask, spacing) for mask in (truth, prediction)), strict=True)
    total = float(lengths[0].sum() + lengths[1].sum())
    if not (len(points[0]) and len(points[1])):
        return BoundaryCounts(intersection, union, 0.0, total)
    near, farthest = 0.0, 0.0
    for own, other, weight in ((*points, lengths[0]), (*points[::-1], lengths[1])):
        distance, _ = cKDTree(other, balanced_tree=False).query(own)
        near += float(weight[distance <= tolerance].sum())
        farthest = max(farthest, _weighted_percentile(distance, weight))
    return BoundaryCounts(intersection, union, near, total, farthest)


def outline(
    mask: NDArray[np.bool_], spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pieces of the outline of a mask.

    Parameters
    ----------
    mask : ndarray of bool, (Y, X)
        What lies outside the array is background.
    spacing : tuple of float
        Size of a pixel ``(y, x)``.

    Returns
    -------
    points : ndarray of float, (N, 2)
        Corner of pixels ``(y, x)`` that each piece goes by; 0 is the outer corner of the first pixel.
    lengths : ndarray of float, (N,)
        Length of each piece.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    code = padded[:-1, :-1] * np.uint8(8)
    code += padded[:-1, 1:] * np.uint8(4)
    code += padded[1:, :-1] * np.uint8(2)
    code += padded[1:, 1:]
    flat = code.ravel()
    where = np.flatnonzero((flat > 0) & (flat < 15))
    y, x = np.divmod(where, width + 1)
    return np.stack([y * spacing[0], x * spacing[1]], axis=1), _lengths(spacing)[flat[where]]


def with_boundary_scores(
    table: ObjectTable,
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    tolerance: float,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> ObjectTable:
    """Add the boundary scores of every matched pair to a table.

    Parameters
    ----------
    table : ObjectTable
        Of one class, from `compare_objects` with the same two images.
    truth, prediction : ndarray of int, (Y, X)
        Object numbers, 0 = background.
    tolerance, spacing
        See `compare_boundaries`.
    """
    width = boundary_width(truth.shape)
    columns = {name: getattr(table, name).copy() for name in ("boundary_iou", "nsd", "hd95")}
    boxes = np.stack([table.top, table.left, table.bottom, table.right], axis=1)
    predicted = np.flatnonzero(~table.in_truth)
    row_of = dict(zip(table.label[predicted].tolist(), predicted.tolist(), strict=True))
    for row in np.flatnonzero(table.in_truth & (table.matched > 0)).tolist():
        other = row_of[int(table.matched[row])]
        top, left = np.minimum(boxes[row, :2], boxes[other, :2])
        bottom, right = np.maximum(boxes[row, 2:], boxes[other, 2:])
        part = (slice(top, bottom), slice(left, right))
        masks = truth[part] == table.label[row], prediction[part] == table.label[other]
        found = compare_boundaries(*masks, tolerance, width, spacing)
        for name, values in columns.items():
            values[[row, other]] = getattr(found, name)
    return replace(table, **columns)


def _band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels of a mask that are no farther than `width` (chessboard) from its outline."""
    if min(mask.shape) <= 2 * width:
        return mask
    inner = mask.astype(np.uint8)
    for axis in (0, 1):
        inner = ndimage.minimum_filter1d(inner, 2 * width + 1, axis, mode="constant", cval=0)
    band: NDArray[np.bool_] = mask & (inner == 0)
    return band


def _lengths(spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Length of outline in a block of 2 x 2 pixels, by the sum of 8, 4, 2, 1 for those that are set."""
    down, across = spacing
    corner = 0.5 * float(np.hypot(down, across))
    table = np.full(16, corner)
    table[[0, 15]] = 0
    table[[0b0011, 0b1100]] = across
    table[[0b0101, 0b1010]] = down
    table[[0b0110, 0b1001]] = 2 * corner
    return table


def _weighted_percentile(distance: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(distance)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(distance[order[min(int(np.searchsorted(share, PERCENTILE)), len(order) - 1)]])
