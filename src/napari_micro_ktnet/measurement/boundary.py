"""How well outlines agree.

Boundary IoU is that of Cheng et al. 2021, *Boundary IoU: Improving Object-Centric Image Segmentation
Evaluation*: the IoU of the pixels no farther than a width inside each outline, where the edge of the image is
outline, too. Normalised surface distance (surface Dice) is that of Nikolov et al. 2018, arXiv:1809.04430: the
share of both outlines that lies within a tolerance of the other. The outline runs between pixels, as in
marching squares, and each piece counts by its length. The Hausdorff distance of the same outlines is taken
at 95 % of their length, and the larger of both directions counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

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
    intersection, union = shared_band(truth, prediction, width)
    (points, lengths), (others, weights) = (outlines(mask, spacing)[:2] for mask in (truth, prediction))
    total = float(lengths.sum() + weights.sum())
    if not (len(points) and len(others)):
        return BoundaryCounts(intersection, union, 0.0, total)
    near, farthest = 0.0, 0.0
    for distance, weight in ((distances(points, others), lengths), (distances(others, points), weights)):
        near += float(weight[distance <= tolerance].sum())
        farthest = max(farthest, weighted_percentile(distance, weight))
    return BoundaryCounts(intersection, union, near, total, farthest)


def distances(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point, ``(N, axes)``, to the nearest of `other`, ``(M, axes)``, which has some."""
    distance: NDArray[np.float64] = cKDTree(other, balanced_tree=False).query(own, workers=-1)[0]
    return distance


def outlines(
    labels: NDArray[np.integer] | NDArray[np.bool_], spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
    """Pieces of the outline of every object as if it were alone.

    Parameters
    ----------
    labels : ndarray of int or bool, (Y, X)
        Object numbers, or the mask of one; what is 0 or outside the array is background.
    spacing : tuple of float
        Size of a pixel ``(y, x)``.

    Returns
    -------
    points : ndarray of float, (N, 2)
        Corner of pixels ``(y, x)`` that each piece goes by; 0 is the outer corner of the first pixel.
    lengths : ndarray of float, (N,)
        Length of each piece.
    owners : ndarray, (N,)
        Label of the object that it belongs to.
    """
    padded = np.pad(labels, 1)
    block = [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]
    y, x = np.nonzero((block[0] != block[1]) | (block[0] != block[2]) | (block[0] != block[3]))
    corners = np.stack([part[y, x] for part in block])
    pieces, lengths, owners = [], [], []
    for i, label in enumerate(corners):
        # Each label of a block counts once, at its first corner.
        new = np.flatnonzero((label != 0) & ~(corners[:i] == label).any(axis=0))
        code = np.array([8, 4, 2, 1]) @ (corners[:, new] == label[new])
        pieces.append(new)
        lengths.append(_lengths(spacing)[code])
        owners.append(label[new])
    where = np.concatenate(pieces)
    points = np.stack([y[where] * spacing[0], x[where] * spacing[1]], axis=1)
    return points, np.concatenate(lengths), np.concatenate(owners)


def weighted_percentile(distance: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Least of some distances up to which 95 % of the weight lies."""
    order = np.argsort(distance)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(distance[order[min(int(np.searchsorted(share, PERCENTILE)), len(order) - 1)]])


def shared_band(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], width: int) -> tuple[int, int]:
    """Count the pixels no farther than `width` from the outline in both masks, and in any."""
    bands = _band(truth, width), _band(prediction, width)
    return int(np.count_nonzero(bands[0] & bands[1])), int(np.count_nonzero(bands[0] | bands[1]))


def _band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels of a mask that are no farther than `width` (chessboard) from its outline."""
    side = 2 * width + 1
    if min(mask.shape) < side:
        return mask
    inner = np.pad(mask, width)
    for axis in (0, 1):
        # Windows that are all set, first of 1 pixel, then of 2, 4, ... up to the side of the square.
        window = 1
        inner = inner.swapaxes(0, axis)
        while window < side:
            step = min(window, side - window)
            inner = inner[:-step] & inner[step:]
            window += step
        inner = inner.swapaxes(0, axis)
    return mask & ~inner


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
