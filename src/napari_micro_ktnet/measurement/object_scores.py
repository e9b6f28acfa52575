"""Scores of objects from a table of matched objects.

Average precision is that of the 2018 Data Science Bowl and of StarDist: ``TP / (TP + FP + FN)``, averaged
over the IoU thresholds 0.50, 0.55, ..., 0.95. (That of COCO needs a confidence for each object.) Panoptic
quality is that of Kirillov et al. 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.objects import MATCH_IOU, ObjectTable
from napari_micro_ktnet.measurement.scores import ratio

IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Detection:
    """How many objects are found.

    Attributes
    ----------
    tp, fp, fn : int
        Objects found, predicted only, and in the truth only.
    precision, recall, f1 : float
        ``TP / (TP + FP)``, ``TP / (TP + FN)``, ``2 TP / (2 TP + FP + FN)``; NaN if there is no object
        on either side, 0 if on one only.
    """

    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class SizeClass:
    """Detection of objects of a range of sizes.

    Attributes
    ----------
    low, high : float
        Equivalent circular diameter, ``low <= ECD < high``; `high` may be infinite.
    detection : Detection
        At IoU 0.5. A true object and the one matched with it count by the size of the true one, a
        false object by its own.
    """

    low: float
    high: float
    detection: Detection


@dataclass(frozen=True)
class ObjectScores:
    """Object scores of one class.

    Attributes
    ----------
    truth, predicted : int
        Number of objects.
    at_50, at_75 : Detection
        At an IoU of at least 0.5 and 0.75.
    average_precision : float
        Mean over IoU thresholds 0.50:0.05:0.95 of ``TP / (TP + FP + FN)``.
    panoptic_quality, segmentation_quality, recognition_quality : float
        PQ = SQ RQ; SQ is the mean IoU of the objects found at 0.5 and RQ is their F1.
    splits : int
        True objects that contain most of each of several predicted ones.
    merges : int
        Predicted objects that contain most of each of several true ones.
    count_bias : float
        ``(predicted - truth) / truth``; NaN if the truth has none.
    border, interior : Detection
        At IoU 0.5, of objects that touch the edge of the analysed region and of all others.
    sizes : tuple of SizeClass
        By size.
    """

    truth: int
    predicted: int
    at_50: Detection
    at_75: Detection
    average_precision: float
    panoptic_quality: float
    segmentation_quality: float
    recognition_quality: float
    splits: int
    merges: int
    count_bias: float
    border: Detection
    interior: Detection
    sizes: tuple[SizeClass, ...]


def object_scores(table: ObjectTable, ecd: NDArray[np.float64], edges: Sequence[float]) -> ObjectScores:
    """Score the objects of one class, of one image or of many.

    Parameters
    ----------
    table : ObjectTable
        Objects of one class.
    ecd : ndarray of float, (N,)
        Their equivalent circular diameters, in the unit of `edges`.
    edges : sequence of float
        Rising inner edges of the size classes; the first begins at 0 and the last has no end.

    Returns
    -------
    ObjectScores
    """
    truth = table.in_truth
    n_truth, n_predicted = int(truth.sum()), int((~truth).sum())
    counts = [_detect(table, threshold=t) for t in IOU_THRESHOLDS]
    hits = table.iou[truth & (table.iou >= MATCH_IOU)]
    nothing = float("nan") if not len(table) else 0.0
    quality = float(hits.mean()) if len(hits) else nothing
    bounds = pairwise((0.0, *edges, float("inf")))
    return ObjectScores(
        truth=n_truth,
        predicted=n_predicted,
        at_50=counts[0],
        at_75=counts[IOU_THRESHOLDS.index(0.75)],
        average_precision=float(np.mean([ratio(c.tp, c.tp + c.fp + c.fn) for c in counts])),
        panoptic_quality=quality * counts[0].f1,
        segmentation_quality=quality,
        recognition_quality=counts[0].f1,
        splits=int((table.parts[truth] > 1).sum()),
        merges=int((table.parts[~truth] > 1).sum()),
        count_bias=ratio(n_predicted - n_truth, n_truth),
        border=_detect(table, table.border),
        interior=_detect(table, ~table.border),
        sizes=tuple(
            SizeClass(low, high, _detect(table, (ecd >= low) & (ecd < high))) for low, high in bounds
        ),
    )


def _detect(
    table: ObjectTable, rows: NDArray[np.bool_] | None = None, threshold: float = MATCH_IOU
) -> Detection:
    # Above an IoU of 0.5 a pair has no rival, so that the matching at 0.5 serves all thresholds.
    hit = table.iou >= threshold
    rows = np.ones(len(table), bool) if rows is None else rows
    tp = int((hit & table.in_truth & rows).sum())
    fn = int((~hit & table.in_truth & rows).sum())
    fp = int((~hit & ~table.in_truth & rows).sum())
    undefined = float("nan") if not tp + fp + fn else 0.0
    return Detection(
        tp,
        fp,
        fn,
        ratio(tp, tp + fp, undefined),
        ratio(tp, tp + fn, undefined),
        ratio(2 * tp, 2 * tp + fp + fn),
    )
