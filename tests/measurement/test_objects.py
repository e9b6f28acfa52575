from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from stardist.matching import matching
from torch import from_numpy
from torchmetrics.functional.detection import panoptic_quality

from napari_micro_ktnet.measurement.object_scores import IOU_THRESHOLDS, ObjectScores, object_scores
from napari_micro_ktnet.measurement.objects import (
    ObjectTable,
    compare_objects,
    intersection_over_union,
    match,
    number_objects,
    overlaps,
)


def instances(seed: int, count: int = 60, side: int = 160) -> NDArray[np.int32]:
    """Discs that cover each other in part, numbered with gaps."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    labels = np.zeros((side, side), np.int32)
    for number in rng.permutation(2 * count)[:count] + 1:
        cy, cx, r = rng.integers(side), rng.integers(side), rng.uniform(2, 14)
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = number
    return labels


def shifted(labels: NDArray[np.int32], seed: int) -> NDArray[np.int32]:
    """The same objects moved a little, some cut in two and some gone."""
    rng = np.random.default_rng(seed)
    out = np.zeros_like(labels)
    for number in np.unique(labels)[1:]:
        mask = np.roll(labels == number, tuple(rng.integers(-3, 4, 2)), (0, 1))
        if rng.random() > 0.15:
            out[mask] = number
        if rng.random() < 0.15:
            out[(out == number) & (np.indices(out.shape)[1] > np.nonzero(mask)[1].mean())] = 500 + number
    return out


def scored(table: ObjectTable, edges: tuple[float, ...] = ()) -> ObjectScores:
    return object_scores(table, table.ecd, edges)


@pytest.mark.parametrize("seed", range(4))
def test_matching_equals_stardist(seed: int) -> None:
    truth = instances(seed)
    prediction = shifted(truth, seed) if seed % 2 else instances(seed + 100)
    areas = [np.bincount(labels.ravel()) for labels in (truth, prediction)]
    iou = intersection_over_union(overlaps(truth, prediction), *areas)
    for expected in matching(truth, prediction, thresh=(0.05, 0.2, 0.35, *IOU_THRESHOLDS)):
        rows, columns = match(iou, expected.thresh)
        assert len(rows) == expected.tp
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
        if expected.tp:
            assert float(iou[rows, columns].mean()) == pytest.approx(expected.mean_matched_score, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_stardist(seed: int) -> None:
    truth = instances(seed)
    prediction = shifted(truth, seed)
    found = scored(compare_objects(truth, prediction))
    at = {e.thresh: e for e in matching(truth, prediction, thresh=IOU_THRESHOLDS)}
    for detection, expected in ((found.at_50, at[0.5]), (found.at_75, at[0.75])):
        assert (detection.tp, detection.fp, detection.fn) == (expected.tp, expected.fp, expected.fn)
        for name in ("precision", "recall", "f1"):
            assert getattr(detection, name) == pytest.approx(getattr(expected, name), abs=1e-6)
    assert found.average_precision == pytest.approx(np.mean([e.accuracy for e in at.values()]), abs=1e-6)
    assert found.panoptic_quality == pytest.approx(at[0.5].panoptic_quality, abs=1e-6)
    assert found.segmentation_quality == pytest.approx(at[0.5].mean_matched_score, abs=1e-6)
    assert (found.truth, found.predicted) == (at[0.5].n_true, at[0.5].n_pred)


HALF = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], np.int32)


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        *((instances(seed), shifted(instances(seed), seed + 4)) for seed in range(4)),
        (HALF, HALF),
        (HALF, np.where(HALF == 1, 1, 0)),
        (HALF, np.roll(HALF, 1, axis=1)),
        (HALF, np.ones_like(HALF)),
    ],
)
def test_panoptic_quality_equals_torchmetrics(
    truth: NDArray[np.int32], prediction: NDArray[np.int32]
) -> None:
    pair = (from_numpy(np.stack([(i > 0).astype(int), i], -1)[None]) for i in (prediction, truth))
    options = {"things": {1}, "stuffs": {0}, "return_per_class": True, "return_sq_and_rq": True}
    expected = panoptic_quality(*pair, **options)[0].tolist()
    table = compare_objects(truth, prediction)
    # torchmetrics finds nothing at an IoU of exactly 0.5.
    found = scored(replace(table, iou=np.where(table.iou > 0.5, table.iou, 0)))
    quality = found.panoptic_quality, found.segmentation_quality, found.recognition_quality
    assert quality == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("iou", "pairs"),
    [
        # Two pairs beat the one with the largest IoU.
        ([[0.6, 0.3], [0.3, 0.0]], [(0, 1), (1, 0)]),
        ([[0.3, 0.4], [0.4, 0.3]], [(0, 1), (1, 0)]),
        ([[0.3, 0.0], [0.29, 0.0]], [(0, 0)]),
        ([[0.0, 0.0], [0.0, 0.0]], []),
    ],
)
def test_assignment(iou: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    rows, columns = match(csr_matrix(np.array(iou)), 0.25)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == pairs


def rows_of(picture: str) -> NDArray[np.int32]:
    return np.array([[int(c) for c in line.replace(".", "0")] for line in picture.split()], np.int32)


@pytest.mark.parametrize(
    ("truth", "prediction", "verdicts", "splits", "merges"),
    [
        ("1111", "1111", "found found", 0, 0),
        ("1111", "....", "missed", 0, 0),
        ("....", "1111", "false", 0, 0),
        ("11..", "..11", "missed false", 0, 0),
        # The larger part has an IoU of 3/5 and is the object; the truth is split all the same.
        ("11111", "111.2", "found found split", 1, 0),
        ("11111111", "111..222", "split split split", 1, 0),
        ("111..222", "11111111", "merged merged merged", 0, 1),
        ("11112", "11111", "found merged found", 0, 1),
    ],
)
def test_verdicts(truth: str, prediction: str, verdicts: str, splits: int, merges: int) -> None:
    table = compare_objects(rows_of(truth), rows_of(prediction))
    assert table.verdict.tolist() == verdicts.split()
    scores = scored(table)
    assert (scores.splits, scores.merges) == (splits, merges)


def test_table_by_hand() -> None:
    truth = rows_of("11.... 11.... ....33")
    prediction = rows_of("11.... 1..... ......")
    table = compare_objects(truth, prediction, class_number=2)
    assert table.in_truth.tolist() == [True, True, False]
    assert set(table.class_number.tolist()) == {2}
    assert table.label.tolist() == [1, 3, 1]
    assert table.matched.tolist() == [1, 0, 1]
    assert table.iou.tolist() == [0.75, 0, 0.75]
    assert table.area.tolist() == [4, 2, 3]
    assert table.ecd == pytest.approx(np.sqrt(4 * np.array([4, 2, 3]) / np.pi))
    assert (table.y[0], table.x[0], table.y[1], table.x[1]) == (0.5, 0.5, 2, 4.5)
    boxes = np.stack([table.top, table.left, table.bottom, table.right], 1)
    assert boxes.tolist() == [[0, 0, 2, 2], [2, 4, 3, 6], [0, 0, 2, 2]]


def test_touching_corners_are_one_object_and_ignored_neighbours_a_border() -> None:
    mask = np.zeros((7, 9), bool)
    mask[[2, 3], [2, 3]] = True
    mask[3, 6] = True
    labels = number_objects(mask)
    assert labels.max() == 2
    assert not compare_objects(labels, labels).border.any()
    ignore = np.zeros(mask.shape, bool)
    ignore[:, 7:] = True
    assert compare_objects(labels, labels, ignore=ignore).border.tolist() == [False, True, False, True]


def test_size_classes_and_count_bias() -> None:
    truth = rows_of("1.2.3.44444 ......44444")
    prediction = rows_of("1.2...44444 ....5.44444")
    scores = scored(compare_objects(truth, prediction), (2.0,))
    small, large = scores.sizes
    assert (small.low, small.high, large.low, large.high) == (0, 2, 2, float("inf"))
    assert (small.detection.tp, small.detection.fp, small.detection.fn) == (2, 1, 1)
    assert (large.detection.tp, large.detection.fp, large.detection.fn) == (1, 0, 0)
    assert scores.count_bias == 0
    fewer = scored(compare_objects(truth, rows_of("1.2........ ...........")))
    assert fewer.count_bias == -0.5


def test_no_objects() -> None:
    nothing, something = np.zeros((4, 5), np.int32), rows_of("1.... ..... ..... .....")
    empty = scored(compare_objects(nothing, nothing))
    for value in (empty.at_50.f1, empty.at_50.precision, empty.average_precision, empty.panoptic_quality):
        assert np.isnan(value)
    for pair in ((nothing, something), (something, nothing)):
        one = scored(compare_objects(*pair))
        assert (one.at_50.f1, one.at_50.precision, one.at_50.recall) == (0, 0, 0)
        assert (one.average_precision, one.panoptic_quality, one.segmentation_quality) == (0, 0, 0)
