from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_confusion_matrix_metric,
    compute_dice,
    compute_iou,
    get_confusion_matrix,
)
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
)
from sklearn.metrics import (
    confusion_matrix as sklearn_confusion,
)
from torch import from_numpy
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_f1_score,
    binary_jaccard_index,
    binary_matthews_corrcoef,
    binary_precision,
    binary_recall,
    binary_specificity,
    multiclass_matthews_corrcoef,
)

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.scores import (
    binary_scores,
    confusion_matrix,
    overall_accuracy,
    overall_mcc,
    scores_from_confusion,
)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learn(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, classes, (2, 40, 50))
    scores = scores_from_confusion(confusion_matrix(prediction, truth, classes))
    options = {"labels": list(range(1, classes)), "average": None}
    pairs = (
        (jaccard_score, "iou"),
        (precision_score, "precision"),
        (recall_score, "recall"),
        (f1_score, "f1"),
    )
    for function, name in pairs:
        expected = function(truth.ravel(), prediction.ravel(), **options)
        np.testing.assert_allclose([getattr(s, name) for s in scores], expected, rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_class_against_the_rest(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (40, 50))
    prediction = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, classes, truth.shape))
    matrix = confusion_matrix(prediction, truth, classes)
    for number, scores in enumerate(scores_from_confusion(matrix), 1):
        p, t = prediction.ravel() == number, truth.ravel() == number
        negative = recall_score(~t, ~p)
        assert scores.accuracy == pytest.approx(accuracy_score(t, p), abs=1e-12)
        assert scores.specificity == pytest.approx(negative, abs=1e-12)
        assert scores.mcc == pytest.approx(matthews_corrcoef(t, p), abs=1e-12)
        tensors = from_numpy(p.astype(int)), from_numpy(t.astype(int))
        assert scores.iou == pytest.approx(float(binary_jaccard_index(*tensors)), abs=1e-6)
        assert scores.mcc == pytest.approx(float(binary_matthews_corrcoef(*tensors)), abs=1e-6)
        assert scores.specificity == pytest.approx(float(binary_specificity(*tensors)), abs=1e-6)
    assert overall_accuracy(matrix) == pytest.approx(accuracy_score(truth.ravel(), prediction.ravel()))
    expected = matthews_corrcoef(truth.ravel(), prediction.ravel())
    assert overall_mcc(matrix) == pytest.approx(expected, abs=1e-12)
    torch_value = multiclass_matthews_corrcoef(from_numpy(prediction), from_numpy(truth), classes)
    assert overall_mcc(matrix) == pytest.approx(float(torch_value), abs=1e-6)


ROW = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        (ROW % 2, ROW % 2),
        (ROW % 2, 1 - ROW % 2),
        (np.ones_like(ROW), ROW % 3 // 2),
        (ROW // 11, np.ones_like(ROW)),
        (ROW // 11, ROW % 2),
        (ROW * 0, ROW // 11),
        *np.random.default_rng(5).integers(0, 2, (3, 2, 30, 40)),
    ],
)
def test_binary_scores_equal_torchmetrics_and_monai(prediction: np.ndarray, truth: np.ndarray) -> None:
    matrix = confusion_matrix(prediction, truth, 2)
    assert matrix.tolist() == sklearn_confusion(truth.ravel(), prediction.ravel(), labels=[0, 1]).tolist()
    (found,) = scores_from_confusion(matrix)
    tensors = from_numpy(prediction), from_numpy(truth)
    for name, function in (
        ("iou", binary_jaccard_index),
        ("precision", binary_precision),
        ("recall", binary_recall),
        ("f1", binary_f1_score),
        ("accuracy", binary_accuracy),
    ):
        assert getattr(found, name) == pytest.approx(float(function(*tensors)), abs=1e-6)
    # MONAI wants batch and channel axes, the first channel being the background.
    one_hot = [torch.stack([1 - t, t])[None] for t in tensors]
    assert found.iou == pytest.approx(float(compute_iou(*one_hot, include_background=False)), abs=1e-6)
    assert found.f1 == pytest.approx(float(compute_dice(*one_hot, include_background=False)), abs=1e-6)
    counts = get_confusion_matrix(*one_hot, include_background=False)
    for name in ("accuracy", "precision", "specificity"):
        expected = float(compute_confusion_matrix_metric(name, counts))
        # MONAI leaves out a score without a denominator; a class that is in one image only scores 0 here.
        expected = getattr(found, name) if math.isnan(expected) else expected
        assert getattr(found, name) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_counts_of_a_data_set_do_not_overflow() -> None:
    few, many = binary_scores(40, 10, 20, 930), binary_scores(*(v * 10**10 for v in (40, 10, 20, 930)))
    assert many.mcc == pytest.approx(few.mcc, rel=1e-12)


def test_more_pixels_than_one_block() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 300, 700)).astype(np.uint8)
    ignore = rng.random(truth.shape) < 0.3
    expected = [[int(((truth == t) & (prediction == p) & ~ignore).sum()) for p in range(3)] for t in range(3)]
    assert confusion_matrix(prediction, truth, 3, ignore).tolist() == expected


def test_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    prediction = np.array([[1, 0, 1, 0], [1, 0, 0, 0]])
    (score,) = scores_from_confusion(confusion_matrix(prediction, truth, 2))
    assert (score.iou, score.precision, score.recall, score.f1) == (2 / 4, 2 / 3, 2 / 3, 2 / 3)
    assert (score.accuracy, score.specificity) == (6 / 8, 4 / 5)
    assert score.mcc == pytest.approx((2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5))


def test_ignored_pixels_do_not_count() -> None:
    truth, prediction = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    ignore = np.array([False, False, True, True])
    assert confusion_matrix(prediction, truth, 2, ignore).tolist() == [[1, 0], [0, 1]]


def test_a_class_in_neither_image_has_no_scores() -> None:
    nothing = np.zeros(5, int)
    (empty,) = scores_from_confusion(confusion_matrix(nothing, nothing, 2))
    assert all(math.isnan(value) for value in vars(empty).values())


@pytest.mark.parametrize("swapped", [False, True])
def test_a_class_in_one_image_only_scores_zero(swapped: bool) -> None:
    images = np.zeros(5, int), np.array([1, 1, 0, 0, 0])
    prediction, truth = images[::-1] if swapped else images
    (score,) = scores_from_confusion(confusion_matrix(prediction, truth, 2))
    assert (score.iou, score.precision, score.recall, score.f1, score.mcc) == (0, 0, 0, 0, 0)
    assert (score.accuracy, score.specificity) == (3 / 5, 3 / 5 if swapped else 1)


def test_a_class_everywhere_has_no_negatives() -> None:
    (score,) = scores_from_confusion(confusion_matrix(np.ones(5, int), np.ones(5, int), 2))
    assert (score.iou, score.accuracy) == (1, 1)
    assert math.isnan(score.specificity)
    assert math.isnan(score.mcc)


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros(3, int), np.zeros(4, int), "same shape"),
        (np.full(3, 2), np.zeros(3, int), "prediction holds labels 2 to 2"),
        (np.zeros(3, int), np.array([0, 255, 1]), "truth holds labels 0 to 255"),
    ],
)
def test_bad_input(prediction: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        confusion_matrix(prediction, truth, 2)
