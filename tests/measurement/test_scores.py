from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion


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


def test_by_hand() -> None:
    truth = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    prediction = np.array([[1, 0, 1, 0], [1, 0, 0, 0]])
    (score,) = scores_from_confusion(confusion_matrix(prediction, truth, 2))
    assert (score.iou, score.precision, score.recall, score.f1) == (2 / 4, 2 / 3, 2 / 3, 2 / 3)


def test_ignored_pixels_do_not_count() -> None:
    truth, prediction = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    ignore = np.array([False, False, True, True])
    assert confusion_matrix(prediction, truth, 2, ignore).tolist() == [[1, 0], [0, 1]]


def test_undefined_scores_are_nan() -> None:
    nothing = np.zeros(5, int)
    (empty,) = scores_from_confusion(confusion_matrix(nothing, nothing, 2))
    assert all(math.isnan(v) for v in (empty.iou, empty.precision, empty.recall, empty.f1))
    (missed,) = scores_from_confusion(confusion_matrix(nothing, np.ones(5, int), 2))
    assert missed.iou == 0
    assert missed.recall == 0
    assert math.isnan(missed.precision)


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
