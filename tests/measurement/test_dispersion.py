from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from napari_micro_ktnet.measurement.dispersion import (
    NeighbourDistance,
    clark_evans,
    neighbour_distance,
    ripley,
    ripley_l,
    scatter,
    share_above,
)

HEIGHT, WIDTH = 300.0, 500.0


def random_points(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform((0, 0), (HEIGHT, WIDTH), (n, 2))


def lattice() -> NDArray[np.float64]:
    y, x = np.mgrid[10:HEIGHT:20, 10:WIDTH:20]
    return np.column_stack([y.ravel(), x.ravel()])


def clusters(seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres = rng.uniform((30, 30), (HEIGHT - 30, WIDTH - 30), (25, 2))
    return np.repeat(centres, 12, axis=0) + rng.normal(0, 6, (300, 2))


def one(points: NDArray[np.float64]):
    found = neighbour_distance(points, HEIGHT, WIDTH)
    return clark_evans([found] if found else [])


@pytest.mark.parametrize("n", [10, 30, 200])
def test_random_points_have_r_1_and_honest_p(n: int) -> None:
    found = [one(random_points(n, seed)) for seed in range(600)]
    r = np.array([f.r for f in found])
    assert r.mean() == pytest.approx(1, abs=3 * r.std() / math.sqrt(len(r)) + 0.006)
    # p is uniform if the standard error is right.
    rejected = np.mean([f.p < 0.05 for f in found])
    assert rejected == pytest.approx(0.05, abs=0.03)
    expected = neighbour_distance(random_points(n, 0), HEIGHT, WIDTH)
    assert expected is not None
    assert r.std() == pytest.approx(expected.error / expected.expected, rel=0.1)


def test_lattice_and_clusters() -> None:
    even, clustered = one(lattice()), one(clusters())
    # Every neighbour is 20 away; Donnelly's expectation for 375 points in 300 x 500.
    expected = 0.5 * math.sqrt(150_000 / 375) + (0.0514 + 0.041 / math.sqrt(375)) * 1600 / 375
    assert even.r == pytest.approx(20 / expected)
    assert even.r > 1.8
    assert clustered.r < 0.6
    assert max(even.p, clustered.p) < 1e-6


def test_by_hand() -> None:
    found = neighbour_distance(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 14.0]]), 10.0, 20.0)
    assert found is not None
    assert found.mean == pytest.approx((5 + 5 + 10) / 3)
    assert found.expected == pytest.approx(0.5 * math.sqrt(200 / 3) + (0.0514 + 0.041 / math.sqrt(3)) * 20)
    error = math.sqrt(0.0703 * 200 / 9 + 0.037 * 60 * math.sqrt(200 / 3**5))
    assert found.error == pytest.approx(error)
    ratio = clark_evans([found])
    assert (ratio.r, ratio.p, ratio.n) == (pytest.approx(found.mean / found.expected), None, 3)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((1, 2))])
def test_too_few_points(points: NDArray[np.float64]) -> None:
    found = one(points)
    assert (found.r, found.p, found.n) == (None, None, 0)
    assert ripley(points, HEIGHT, WIDTH) is None


def test_fields_together() -> None:
    a, b = NeighbourDistance(10, 6.0, 5.0, 0.5), NeighbourDistance(30, 70.0, 50.0, 4.0)
    both = clark_evans([a, b])
    assert both.r == pytest.approx((10 * 1.2 + 30 * 1.4) / 40)
    error = math.hypot(10 * 0.1, 30 * 0.08) / 40
    assert both.p == pytest.approx(2 * stats.norm.sf((both.r - 1) / error))
    few = NeighbourDistance(3, 9.0, 5.0, 1.0)
    assert clark_evans([a, b, few]) == both
    assert clark_evans([few]).r == pytest.approx(1.8)


def test_pooled_p_is_honest() -> None:
    def rejected(seed: int) -> bool:
        fields = [neighbour_distance(random_points(20, 1000 * seed + i), HEIGHT, WIDTH) for i in range(5)]
        return clark_evans([f for f in fields if f]).p < 0.05

    assert np.mean([rejected(seed) for seed in range(300)]) == pytest.approx(0.05, abs=0.04)


def brute_force_l(points: NDArray[np.float64], distances: NDArray[np.float64]) -> list[float]:
    n, out = len(points), []
    for r in distances:
        total = 0.0
        for i in range(n):
            for j in range(n):
                dy, dx = abs(points[i] - points[j])
                if i != j and math.hypot(dy, dx) <= r:
                    # Area in which both points can lie at this offset.
                    total += 1 / ((HEIGHT - dy) * (WIDTH - dx))
        out.append(math.sqrt((HEIGHT * WIDTH) ** 2 * total / (n * (n - 1)) / math.pi))
    return out


@pytest.mark.parametrize("points", [random_points(40, 3), lattice()[::9], clusters()[::8]])
def test_l_equals_brute_force(points: NDArray[np.float64]) -> None:
    distances = np.linspace(5, 75, 15)
    expected = brute_force_l(points, distances)
    np.testing.assert_allclose(ripley_l(points, HEIGHT, WIDTH, distances), expected, rtol=1e-12)


def test_l_of_random_points_is_r() -> None:
    distances = np.linspace(10, 70, 7)
    squares = [ripley_l(random_points(100, seed), HEIGHT, WIDTH, distances) ** 2 for seed in range(300)]
    np.testing.assert_allclose(np.mean(squares, axis=0), distances**2, rtol=0.02)


@pytest.mark.parametrize(
    ("points", "lowest", "highest"),
    [(random_points(150, 8), 0.05, 1), (lattice(), 0, 0.01), (clusters(), 0, 0.01)],
)
def test_global_test(points: NDArray[np.float64], lowest: float, highest: float) -> None:
    found = ripley(points, HEIGHT, WIDTH, simulations=99)
    assert found is not None
    assert lowest <= found.p <= highest
    assert (found.low <= found.high).all()
    assert len(found.r) == 50


def test_envelope_and_seed() -> None:
    points = clusters()
    first, same, other = (ripley(points, HEIGHT, WIDTH, seed, simulations=39) for seed in (1, 1, 2))
    assert first is not None
    np.testing.assert_array_equal(first.high, same.high)
    assert not np.array_equal(first.high, other.high)
    assert (first.l[5:25] > first.high[5:25]).all()


def test_share_above_and_scatter() -> None:
    sizes = np.array([1.0, 2.0, 3.0])
    assert share_above(sizes, sizes**2, 2.0) == pytest.approx(9 / 14)
    assert share_above(np.zeros(0), np.zeros(0), 2.0) is None
    found = scatter([1.0, 2.0, 3.0])
    assert (found.n, found.mean, found.sd, found.cv) == (3, 2.0, pytest.approx(1.0), pytest.approx(0.5))
    assert scatter([4.0]).sd is None
    assert scatter([0.0, 0.0]).cv is None
