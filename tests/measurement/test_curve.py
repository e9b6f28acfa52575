from __future__ import annotations

import numpy as np
import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.curve import threshold_curve
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("thresholds", [None, [0.7, 0.1, 0.5], np.linspace(0, 1, 256)])
def test_equals_thresholding_one_by_one(dtype: type, thresholds: object) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (300, 301))
    probability = np.clip(0.5 * truth + rng.random(truth.shape) * 0.6, 0, 1).round(2).astype(dtype)
    ignore = rng.random(truth.shape) < 0.1
    curve = threshold_curve(probability, truth, thresholds, ignore)
    assert list(curve.thresholds) == sorted(curve.thresholds)
    for threshold, found in zip(curve.thresholds, curve.scores, strict=True):
        labels = (probability >= threshold).astype(int)
        (expected,) = scores_from_confusion(confusion_matrix(labels, truth, 2, ignore))
        np.testing.assert_equal(vars(found), vars(expected))


def test_nan_does_not_count() -> None:
    probability = np.array([[0.9, np.nan, 0.1]], np.float32)
    curve = threshold_curve(probability, np.array([[1, 1, 0]]), [0.5])
    assert (curve.scores[0].iou, curve.scores[0].accuracy) == (1, 1)


@pytest.mark.parametrize(
    ("probability", "truth", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2), int), "one shape"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), int), "real numbers"),
    ],
)
def test_bad_input(probability: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        threshold_curve(probability, truth)
