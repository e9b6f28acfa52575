"""Objects of two label images, and which of them are the same one.

Matching follows Kirillov et al. 2019, *Panoptic Segmentation* (an object is found if its IoU with a
predicted one is at least 0.5) with an optimal assignment where several pairs are possible, as in
Schmidt et al. 2018 (StarDist).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

MATCH_IOU = 0.5
"""An object is found from this IoU on."""

HIT, MISSED, FALSE, SPLIT, MERGED = "found", "missed", "false", "split", "merged"

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """One row for each object of truth and prediction.

    Attributes
    ----------
    in_truth : ndarray of bool, (N,)
        True for objects of the truth, False for those of the prediction.
    class_number : ndarray of int, (N,)
        Class, from 1.
    label : ndarray of int, (N,)
        Number of the object within its image and class, or the label as given for instances.
    matched : ndarray of int, (N,)
        Label of the object on the other side that is the same one; 0 = none.
    iou : ndarray of float, (N,)
        With the matched object; 0 = none.
    area : ndarray of int, (N,)
        Pixels.
    ecd : ndarray of float, (N,)
        Diameter of the circle of the same area, in pixels.
    y, x : ndarray of float, (N,)
        Centre of mass in pixels.
    top, left, bottom, right : ndarray of int, (N,)
        Bounding box: rows ``[top, bottom)`` and columns ``[left, right)``.
    border : ndarray of bool, (N,)
        True where the object touches the edge of the image or ignored pixels.
    parts : ndarray of int, (N,)
        Objects on the other side that lie in this one with more than half of their area.
    verdict : ndarray of str, (N,)
        ``found`` (matched); else ``merged`` (several true objects in one predicted), ``split`` (one true
        object in several predicted), ``missed`` (in the truth only) or ``false`` (predicted only).
    boundary_iou, nsd, hd95 : ndarray of float, (N,)
        Boundary scores of the matched pair (`hd95` in pixels), NaN where there is none.
    """

    in_truth: NDArray[np.bool_]
    class_number: NDArray[np.int64]
    label: NDArray[np.int64]
    matched: NDArray[np.int64]
    iou: NDArray[np.float64]
    area: NDArray[np.int64]
    ecd: NDArray[np.float64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    bottom: NDArray[np.int64]
    right: NDArray[np.int64]
    border: NDArray[np.bool_]
    parts: NDArray[np.int64]
    verdict: NDArray[np.str_]
    boundary_iou: NDArray[np.float64]
    nsd: NDArray[np.float64]
    hd95: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: NDArray[np.bool_]) -> ObjectTable:
        """Rows where `rows`, ``(N,)``, is True."""
        return ObjectTable(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def join(tables: list[ObjectTable]) -> ObjectTable:
    """Put the rows of several tables below each other; at least one table."""
    return ObjectTable(
        **{f.name: np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(ObjectTable)}
    )


def number_objects(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Count the 8-connected components of a mask ``(Y, X)`` from 1; 0 = background."""
    numbers: NDArray[np.int32] = ndimage.label(mask, _EIGHT)[0]
    return numbers


def overlaps(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> csr_matrix:
    """Count the pixels that objects share.

    Parameters
    ----------
    truth, prediction : ndarray of int, (Y, X)
        Object numbers, 0 = background.

    Returns
    -------
    csr_matrix of int64, (largest true number + 1, largest predicted number + 1)
        Shared pixels; row and column 0 are empty.
    """
    both = np.flatnonzero((truth.ravel() > 0) & (prediction.ravel() > 0))
    rows, columns = truth.ravel()[both], prediction.ravel()[both]
    shape = (int(truth.max(initial=0)) + 1, int(prediction.max(initial=0)) + 1)
    return coo_matrix((np.ones(len(both), np.int64), (rows, columns)), shape=shape).tocsr()


def intersection_over_union(
    shared: csr_matrix, truth_area: NDArray[np.int64], prediction_area: NDArray[np.int64]
) -> csr_matrix:
    """IoU of all pairs of objects that share pixels, from `overlaps` and areas by object number."""
    pairs = shared.tocoo()
    union = truth_area[pairs.row] + prediction_area[pairs.col] - pairs.data
    return coo_matrix((pairs.data / union, (pairs.row, pairs.col)), shape=shared.shape).tocsr()


def match(iou: csr_matrix, threshold: float = MATCH_IOU) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair objects one to one: as many pairs as possible, and among these the largest sum of IoU.

    Parameters
    ----------
    iou : csr_matrix of float, (true objects, predicted objects)
        IoU of pairs that overlap.
    threshold : float
        Least IoU of a pair, above 0.

    Returns
    -------
    true, predicted : ndarray of int, (pairs,)
        Rows and columns of the pairs.
    """
    pairs = iou.tocoo()
    good = pairs.data >= threshold
    rows, columns, values = pairs.row[good].astype(int), pairs.col[good].astype(int), pairs.data[good]
    # Only objects that compete for a partner need an assignment: above an IoU of 0.5 there are none.
    total = iou.shape[0] + iou.shape[1]
    graph = coo_matrix((np.ones(len(rows)), (rows, columns + iou.shape[0])), shape=(total, total))
    _, group = connected_components(graph, directed=False)
    group = group[rows]
    alone = np.bincount(group, minlength=1)[group] == 1 if len(group) else np.zeros(0, bool)
    chosen = [np.flatnonzero(alone)]
    contested = np.flatnonzero(~alone)
    contested = contested[np.argsort(group[contested], kind="stable")]
    borders = np.flatnonzero(np.diff(group[contested])) + 1
    chosen += [e[_assign(rows[e], columns[e], values[e])] for e in np.split(contested, borders)]
    keep = np.sort(np.concatenate(chosen))
    return rows[keep], columns[keep]


def _assign(
    rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Which of the edges of a small graph are in the best assignment."""
    (true, i), (predicted, j) = (np.unique(v, return_inverse=True) for v in (rows, columns))
    gain = np.zeros((len(true), len(predicted)))
    # One more pair is worth more than any IoU.
    gain[i, j] = 1 + iou / (2 * min(gain.shape))
    first, second = linear_sum_assignment(gain, maximize=True)
    taken = np.zeros(gain.shape, bool)
    taken[first, second] = True
    return np.flatnonzero(taken[i, j])


def compare_objects(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    class_number: int = 1,
    ignore: NDArray[np.bool_] | None = None,
) -> ObjectTable:
    """Measure and match the objects of one class.

    Parameters
    ----------
    truth, prediction : ndarray of int, (Y, X)
        Object numbers, 0 = background and ignored pixels; such as from `number_objects`.
    class_number : int
        What the table says about their class.
    ignore : ndarray of bool, (Y, X), optional
        Pixels that do not count: objects that touch them are border objects.

    Returns
    -------
    ObjectTable
        True objects, then predicted ones, each by label; boundary scores are NaN.
    """
    edge = _edge(truth.shape, ignore)
    sides = [_measure(labels, edge) for labels in (truth, prediction)]
    shared = overlaps(truth, prediction)
    truth_area, prediction_area = (np.bincount(labels.ravel()) for labels in (truth, prediction))
    iou = intersection_over_union(shared, truth_area, prediction_area)
    rows, columns = match(iou)
    # scipy gives a sparse matrix where no element is asked for.
    values = np.asarray(iou[rows, columns]).ravel() if len(rows) else np.zeros(0)
    parts = _parts(shared, truth_area, prediction_area)
    verdicts = _verdicts(shared, (truth_area, prediction_area), parts, (rows, columns))
    tables = []
    for in_truth, side, own, other, part, verdict in (
        (True, sides[0], rows, columns, parts[0], verdicts[0]),
        (False, sides[1], columns, rows, parts[1], verdicts[1]),
    ):
        labels = side["label"]
        count = len(part)
        matched = np.bincount(own, other, count).astype(np.int64)
        columns_of_side = {
            "in_truth": np.full(len(labels), in_truth),
            "class_number": np.full(len(labels), class_number, np.int64),
            "matched": matched[labels],
            "iou": np.bincount(own, values, count)[labels],
            "parts": part[labels],
            "verdict": verdict[labels],
        }
        nothing = {name: np.full(len(labels), np.nan) for name in ("boundary_iou", "nsd", "hd95")}
        tables.append(ObjectTable(**side, **columns_of_side, **nothing))
    return join(tables)


def _edge(shape: tuple[int, ...], ignore: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    edge = np.zeros(shape, bool) if ignore is None else ndimage.binary_dilation(ignore, _EIGHT)
    edge[[0, -1], :] = True
    edge[:, [0, -1]] = True
    return edge


def _measure(labels: NDArray[np.integer], edge: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Columns of a table that follow from one label image."""
    inside = np.flatnonzero(labels)
    numbers = labels.ravel()[inside]
    area = np.bincount(numbers, minlength=1)
    present = np.flatnonzero(area)
    y, x = np.divmod(inside, labels.shape[1])
    boxes = ndimage.find_objects(labels.astype(np.int32, copy=False))
    corners = np.array(
        [(b[0].start, b[1].start, b[0].stop, b[1].stop) for b in boxes if b is not None], np.int64
    ).reshape(-1, 4)
    at_edge = np.zeros(len(area), bool)
    at_edge[labels[edge]] = True
    count = area[present]
    return {
        "label": present,
        "area": count,
        "ecd": np.sqrt(4 * count / np.pi),
        "y": np.bincount(numbers, y, len(area))[present] / count,
        "x": np.bincount(numbers, x, len(area))[present] / count,
        **dict(zip(("top", "left", "bottom", "right"), corners.T, strict=True)),
        "border": at_edge[present],
    }


def _parts(
    shared: csr_matrix, truth_area: NDArray[np.int64], prediction_area: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many objects of the other side lie mostly in each object, by number."""
    pairs = shared.tocoo()
    in_true = pairs.row[2 * pairs.data > prediction_area[pairs.col]]
    in_predicted = pairs.col[2 * pairs.data > truth_area[pairs.row]]
    return np.bincount(in_true, minlength=shared.shape[0]), np.bincount(
        in_predicted, minlength=shared.shape[1]
    )


def _verdicts(
    shared: csr_matrix,
    areas: tuple[NDArray[np.int64], NDArray[np.int64]],
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    matched: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Verdicts of true and of predicted objects, by number."""
    pairs = shared.tocoo()
    is_part = (2 * pairs.data > areas[1][pairs.col]) & (parts[0][pairs.row] > 1)
    is_merged = (2 * pairs.data > areas[0][pairs.row]) & (parts[1][pairs.col] > 1)
    true, predicted = np.full(shared.shape[0], MISSED, "<U6"), np.full(shared.shape[1], FALSE, "<U6")
    true[parts[0] > 1] = SPLIT
    predicted[pairs.col[is_part]] = SPLIT
    true[pairs.row[is_merged]] = MERGED
    predicted[parts[1] > 1] = MERGED
    true[matched[0]], predicted[matched[1]] = HIT, HIT
    return true, predicted
