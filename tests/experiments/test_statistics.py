from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_micro_ktnet.experiments.statistics import compare, holm, score_entry, sign_flip


def confusion(tp: int, fp: int, fn: int, tn: int = 100) -> list[list[int]]:
    return [[tn, fp], [fn, tp]]


def test_scores_by_hand() -> None:
    # One seed, two images: IoU 6/10 and 1/5; pooled 7/15, F1 14/22, precision 7/10, recall 7/12.
    found = score_entry(np.array([[confusion(6, 2, 2), confusion(1, 1, 3)]]))
    assert found.pooled["iou"].value == pytest.approx(7 / 15)
    assert found.pooled["f1"].value == pytest.approx(14 / 22)
    assert found.pooled["precision"].value == pytest.approx(7 / 10)
    assert found.pooled["recall"].value == pytest.approx(7 / 12)
    assert found.mean.value == pytest.approx((0.6 + 0.2) / 2)
    assert found.per_image.tolist() == pytest.approx([0.6, 0.2])
    # Two images tell nothing about the scatter.
    assert np.isnan(found.pooled["iou"].low)


def test_seeds_are_averaged_and_images_without_the_class_left_out() -> None:
    found = score_entry(
        np.array(
            [
                [confusion(6, 2, 2), confusion(0, 0, 0), confusion(5, 0, 0)],
                [confusion(8, 0, 2), confusion(0, 0, 0), confusion(4, 0, 1)],
            ]
        )
    )
    assert found.pooled["iou"].value == pytest.approx((11 / 15 + 12 / 15) / 2)
    assert found.by_seed == pytest.approx((11 / 15, 12 / 15))
    assert found.per_image[[0, 2]].tolist() == pytest.approx([0.7, 0.9])
    assert np.isnan(found.per_image[1])
    assert found.mean.value == pytest.approx(0.8)
    assert found.mean.n == 2


def test_two_classes_are_averaged() -> None:
    # Class 1: 4 of 4 + 1 + 1; class 2: 2 of 2 + 1 + 1.
    matrix = [[50, 0, 0], [0, 4, 1], [0, 1, 2]]
    found = score_entry(np.array([[matrix]]))
    assert found.by_class == pytest.approx((4 / 6, 2 / 4))
    assert found.pooled["iou"].value == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_intervals_against_scipy() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, (12, 3))
    found = score_entry(np.array([[confusion(*c) for c in counts.tolist()]]))

    def pooled(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, axis: int = -1) -> np.ndarray:
        return tp.sum(axis) / (tp + fp + fn).sum(axis)

    iou = stats.bootstrap(tuple(counts.T), pooled, paired=True, method="percentile", n_resamples=9999)
    interval = found.pooled["iou"]
    assert interval.low < interval.value < interval.high
    assert (interval.low, interval.high) == pytest.approx(tuple(iou.confidence_interval), abs=0.02)


@pytest.mark.parametrize("count", [2, 5, 9])
def test_paired_test_against_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    a, b = rng.normal(0.1, 0.2, (2, count))
    expected = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert compare(a, b).p_value == pytest.approx(expected.pvalue)
    assert compare(a, b).images == count


def test_paired_test_of_many_images_against_scipy() -> None:
    rng = np.random.default_rng(7)
    differences = rng.normal(0.03, 0.1, 40)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=99_999)
    assert sign_flip(differences) == pytest.approx(expected.pvalue, abs=0.01)
    assert sign_flip(differences) == sign_flip(differences)
    assert 0 < sign_flip(np.full(40, 1.0)) <= 1e-4


def test_paired_test_by_hand() -> None:
    # All eight images better: of 256 choices of signs only two lie as far out.
    result = compare(np.linspace(0.5, 0.9, 8), np.linspace(0.4, 0.7, 8))
    assert result.p_value == pytest.approx(2 / 256)
    assert result.difference.value == pytest.approx(0.15)
    assert result.difference.low > 0
    assert sign_flip(np.zeros(5)) == 1
    assert np.isnan(sign_flip(np.array([0.3])))
    assert compare(np.array([0.5, np.nan, 0.4]), np.array([0.4, 0.4, 0.6])).images == 2


def test_holm_by_hand() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})
    assert found["a"] == pytest.approx(0.03)
    assert found["c"] == pytest.approx(0.06)
    # Never below that of a smaller p value.
    assert found["b"] == pytest.approx(0.06)
    assert np.isnan(found["d"])


def test_blank_images_are_left_out_for_every_entry() -> None:
    quiet = score_entry(np.array([[confusion(6, 2, 2), confusion(5, 0, 0), confusion(0, 0, 0)]]))
    noisy = score_entry(np.array([[confusion(6, 2, 2), confusion(5, 0, 0), confusion(0, 50, 0)]]))
    assert np.isnan(quiet.per_image[2])
    assert np.isnan(noisy.per_image[2])
    assert (quiet.mean.value, quiet.mean.n) == (noisy.mean.value, noisy.mean.n)
    # It counts there.
    assert noisy.pooled["iou"].value < quiet.pooled["iou"].value
