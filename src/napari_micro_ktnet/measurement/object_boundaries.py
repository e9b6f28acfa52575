"""Boundary scores of matched objects; see `napari_micro_ktnet.measurement.boundary`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.boundary import (
    boundary_width,
    distances,
    outlines,
    shared_band,
    weighted_percentile,
)
from napari_micro_ktnet.measurement.objects import ObjectTable
from napari_micro_ktnet.measurement.scores import ratio


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

    Returns
    -------
    ObjectTable
        What `compare_boundaries` gives for each pair alone, with the width of the whole image.
    """
    true = np.flatnonzero(table.in_truth & (table.matched > 0))
    if not len(true):
        return table
    predicted = np.flatnonzero(~table.in_truth)
    # Labels rise within a side.
    other = predicted[np.searchsorted(table.label[predicted], table.matched[true])]
    nsd, hd95 = _distance_scores(
        table.label[true], table.matched[true], truth, prediction, tolerance, spacing
    )
    found = {
        "boundary_iou": _boundary_ious(table, (true, other), truth, prediction),
        "nsd": nsd,
        "hd95": hd95,
    }
    columns = {name: getattr(table, name).copy() for name in found}
    for name, values in found.items():
        columns[name][true] = columns[name][other] = values
    return replace(table, **columns)


def _boundary_ious(
    table: ObjectTable,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Boundary IoU of pairs of rows of a table."""
    width = boundary_width(truth.shape)
    boxes = np.stack([table.top, table.left, table.bottom, table.right], axis=1)
    first = np.minimum(*(boxes[rows, :2] for rows in pairs))
    last = np.maximum(*(boxes[rows, 2:] for rows in pairs))
    # Where a pair is no wider than two bands all of its pixels are near the outline.
    found = table.iou[pairs[0]].copy()
    for i in np.flatnonzero((last - first).min(axis=1) > 2 * width).tolist():
        part = (slice(first[i, 0], last[i, 0]), slice(first[i, 1], last[i, 1]))
        true, predicted = (table.label[rows[i]] for rows in pairs)
        found[i] = ratio(*shared_band(truth[part] == true, prediction[part] == predicted, width))
    return found


def _distance_scores(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    tolerance: float,
    spacing: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normalised surface distance and Hausdorff distance at 95 % of pairs of labels."""
    sides = []
    for labels, numbers in ((truth, true), (prediction, predicted)):
        pair_of = np.full(int(labels.max()) + 1, -1)
        pair_of[numbers] = np.arange(len(numbers))
        points, lengths, label = outlines(labels, spacing)
        pair = pair_of[label]
        order = np.argsort(pair, kind="stable")[np.count_nonzero(pair < 0) :]
        sides.append((points[order], lengths[order], pair[order]))
    # A third coordinate keeps the pairs apart, so that all are looked up at once.
    apart = 2 * float(np.hypot(truth.shape[0] * spacing[0], truth.shape[1] * spacing[1]))
    placed = [np.column_stack([points, pair * apart]) for points, _, pair in sides]
    near, length, farthest = np.zeros((3, len(true)))
    for own, (_, weight, pair), other in zip(placed, sides, placed[::-1], strict=True):
        distance = distances(own, other)
        near += np.bincount(pair, weight * (distance <= tolerance), len(true))
        length += np.bincount(pair, weight, len(true))
        ends = np.searchsorted(pair, np.arange(len(true) + 1))
        for i, (start, end) in enumerate(pairwise(ends.tolist())):
            value = weighted_percentile(distance[start:end], weight[start:end])
            farthest[i] = max(farthest[i], value)
    return near / length, farthest
