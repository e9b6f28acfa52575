from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_micro_ktnet.measurement.distribution import (
    bootstrap_fields,
    cumulative,
    histogram,
    log_edges,
    needed_objects,
    percentiles,
    sampling_warnings,
    size_edges,
)

SHARES = (0.1, 0.5, 0.9)


@pytest.mark.parametrize("n", [1, 2, 5, 101])
def test_by_number_equals_numpy_and_scipy(n: int) -> None:
    sizes = np.random.default_rng(n).lognormal(size=n)
    found = percentiles(sizes, np.ones(n))
    np.testing.assert_allclose(found, np.quantile(sizes, SHARES, method="hazen"), rtol=1e-12)
    if n > 1:
        theirs = stats.mstats.mquantiles(sizes, SHARES, alphap=0.5, betap=0.5)
        np.testing.assert_allclose(found, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ([2], [7], [2, 2, 2]),
        # Middles at 1/8, 1/2, 7/8 of the area.
        ([1, 2, 3], [1, 2, 1], [1, 2, 3]),
        # Middles at 0.05 and 0.55.
        ([1, 3], [1, 9], [1.2, 2.8, 3]),
        ([3, 1], [9, 1], [1.2, 2.8, 3]),
        ([1, 100, 3], [1, 0, 9], [1.2, 2.8, 3]),
        ([5, 5, 5], [1, 1, 1], [5, 5, 5]),
    ],
)
def test_by_hand(sizes: list[float], weights: list[float], expected: list[float]) -> None:
    found = percentiles(np.array(sizes, float), np.array(weights, float))
    assert found == pytest.approx(expected)


def test_without_objects() -> None:
    assert np.isnan(percentiles(np.zeros(0), np.zeros(0))).all()
    assert np.isnan(percentiles(np.ones(3), np.zeros(3))).all()
    assert [len(a) for a in cumulative(np.zeros(0), np.zeros(0))] == [0, 0]
    assert not len(size_edges(np.zeros(0)))
    assert not len(log_edges(np.zeros(0)))
    empty = histogram(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))
    assert (len(empty.count), len(empty.area_share)) == (0, 0)


def test_area_weighted_lognormal() -> None:
    # Hatch & Choate: weighting by the area moves the median from exp(m) to exp(m + 2 s^2).
    sizes = np.random.default_rng(0).lognormal(1.0, 0.4, 200_000)
    z = stats.norm.ppf(SHARES)
    assert percentiles(sizes, np.ones(len(sizes))) == pytest.approx(np.exp(1 + 0.4 * z), rel=0.01)
    assert percentiles(sizes, sizes**2) == pytest.approx(np.exp(1 + 2 * 0.16 + 0.4 * z), rel=0.01)


def test_cumulative_runs_through_the_percentiles() -> None:
    sizes = np.random.default_rng(1).lognormal(size=40)
    x, share = cumulative(sizes, sizes**2)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(share) > 0).all()
    d50 = percentiles(sizes, sizes**2)[1]
    assert np.interp(d50, x, share) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("sizes", "edges"),
    [
        ([0.3, 4], [0.2, 0.5, 1, 2, 5]),
        ([1, 10], [1, 2, 5, 10, 20]),
        ([7], [5, 10]),
        ([1e-3], [1e-3, 2e-3]),
        ([99.9, 2001], [50, 100, 200, 500, 1000, 2000, 5000]),
    ],
)
def test_round_class_limits(sizes: list[float], edges: list[float]) -> None:
    assert size_edges(np.array(sizes, float)).tolist() == edges


@pytest.mark.parametrize(
    "sizes", [[1, 10, 1000], [0.3, 0.30001], [10**0.3], [5.0] * 3, [2, 8, 25.1188643150958]]
)
def test_every_object_is_in_the_log_histogram(sizes: list[float]) -> None:
    x = np.array(sizes, float)
    edges = log_edges(x)
    found = histogram(x, x**2, np.ones(len(x)), edges)
    assert found.count.sum() == len(x)
    assert found.area_share.sum() == pytest.approx(1)
    np.testing.assert_allclose(edges, 10 ** (np.round(10 * np.log10(edges)) / 10), rtol=1e-9)


def test_histogram_equals_numpy() -> None:
    sizes = np.random.default_rng(2).lognormal(size=500)
    weights = np.random.default_rng(3).uniform(1, 2, 500)
    edges = size_edges(sizes)
    found = histogram(sizes, sizes**2, weights, edges)
    np.testing.assert_allclose(found.count, np.histogram(sizes, edges, weights=weights)[0])
    areas = np.histogram(sizes, edges, weights=weights * sizes**2)[0]
    np.testing.assert_allclose(found.area_share, areas / areas.sum())


def test_bootstrap() -> None:
    values = np.random.default_rng(4).normal(10, 2, 40)

    def statistics(times: np.ndarray) -> np.ndarray:
        return np.array([(times @ values) / times.sum(), np.nan])

    found = bootstrap_fields(statistics, 40, seed=5)
    assert found is not None
    half = 1.96 * values.std() / math.sqrt(40)
    assert found[:, 0] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.12)
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_array_equal(found, bootstrap_fields(statistics, 40, seed=5))
    assert bootstrap_fields(statistics, 2) is None


def test_needed_objects_hold_their_promise() -> None:
    rng = np.random.default_rng(6)
    s = 0.5
    by_number, by_area = needed_objects(rng.lognormal(0, s, 100_000))
    assert (by_number, by_area) == pytest.approx((384.16 * 0.25, 384.16 * 0.25 * 3), rel=0.02)
    # The estimators that the formula is about: exp(m) and exp(m + 2 s^2) from the logarithms.
    for n, factor in ((by_number, 0), (by_area, 2)):
        logs = rng.normal(0, s, (4000, n))
        found = np.exp(logs.mean(1) + factor * logs.var(1, ddof=1))
        off = np.abs(found / math.exp(factor * s**2) - 1) > 0.1
        assert off.mean() == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(
    ("sizes", "pixels", "words"),
    [
        ([], [], ["no object"]),
        ([1], [100], ["only 1 object"]),
        ([1, 2, 3], [100, 400, 900], ["3 objects"]),
        ([5.0] * 50, [10] * 50, ["100% of the objects have fewer than 20 pixels"]),
        ([5.0] * 50, [10] * 5 + [40] * 45, []),
    ],
)
def test_warnings(sizes: list[float], pixels: list[float], words: list[str]) -> None:
    found = sampling_warnings(np.array(sizes, float), np.array(pixels, float))
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))
