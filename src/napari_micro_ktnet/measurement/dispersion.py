"""How evenly agglomerates lie: nearest neighbours, pairs at every distance, scatter between fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtr

NDFloat = NDArray[np.float64]

FEWEST_FOR_TEST = 8
"""Donnelly's correction is good for more than 7 objects."""

_STEPS = 50
_MOST_NEIGHBOURS = 40.0


@dataclass(frozen=True)
class ClarkEvans:
    """Mean distance to the nearest neighbour against that of random points.

    Attributes
    ----------
    r : float or None
        Below 1 clusters, 1 complete spatial randomness, above 1 even spacing; None with fewer than 2 objects.
    p : float or None
        Chance of an R at least as far from 1, to either side, if the objects lie at random; None with fewer
        than 8.
    n : int
        Objects that it rests on.
    """

    r: float | None
    p: float | None
    n: int


@dataclass(frozen=True)
class NeighbourDistance:
    """Distances to the nearest neighbour in one field.

    Attributes
    ----------
    n : int
        Objects, at least 2.
    mean : float
        Observed mean distance.
    expected, error : float
        Mean and its standard error for random points in the same rectangle.
    """

    n: int
    mean: float
    expected: float
    error: float


def neighbour_distance(points: NDFloat, height: float, width: float) -> NeighbourDistance | None:
    """Compare nearest neighbours of points in a rectangle with those of random points.

    Donnelly 1978, *Simulations to determine the variance and edge effect of total nearest-neighbour
    distance*, in Hodder (ed.), Simulation Methods in Archaeology, 91-95; A and P are area and perimeter of
    the rectangle::

        expected = 0.5 sqrt(A / n) + (0.0514 + 0.041 / sqrt(n)) P / n
        error^2  = 0.0703 A / n^2 + 0.037 P sqrt(A / n^5)

    Parameters
    ----------
    points : ndarray of float, (N, 2)
        ``(y, x)`` in any unit.
    height, width : float
        Of the rectangle, in the same unit.

    Returns
    -------
    NeighbourDistance or None
        None with fewer than 2 points.
    """
    n = len(points)
    if n < 2:
        return None
    mean = float(cKDTree(points).query(points, k=2)[0][:, 1].mean())
    area, around = height * width, 2 * (height + width)
    expected = 0.5 * math.sqrt(area / n) + (0.0514 + 0.041 / math.sqrt(n)) * around / n
    error = math.sqrt(0.0703 * area / n**2 + 0.037 * around * math.sqrt(area / n**5))
    return NeighbourDistance(n, mean, expected, error)


def clark_evans(fields: Sequence[NeighbourDistance]) -> ClarkEvans:
    """Clark-Evans ratio R of one field, or of several together.

    R is observed over expected mean distance (Clark & Evans 1954, Ecology 35(4), 445-453) with Donnelly's
    edge correction; p is two-sided from the normal distribution. Of several fields each counts by its
    objects: the mean of the fields' ratios and the error that follows from theirs. Fields with fewer than 8
    objects are left out where there are others.

    Parameters
    ----------
    fields : sequence of NeighbourDistance
        From `neighbour_distance`; their units may differ.
    """
    tested = [f for f in fields if f.n >= FEWEST_FOR_TEST]
    used = tested or fields
    n = sum(f.n for f in used)
    if not n:
        return ClarkEvans(None, None, 0)
    r = sum(f.n * f.mean / f.expected for f in used) / n
    error = math.sqrt(sum((f.n * f.error / f.expected) ** 2 for f in used)) / n
    p = 2 * float(ndtr(-abs(r - 1) / error)) if tested else None
    return ClarkEvans(r, p, n)


@dataclass(frozen=True, eq=False)
class Ripley:
    """Ripley's L at every distance, and where it would lie for random points.

    Attributes
    ----------
    r : ndarray of float, (K,)
        Distances, in the unit of the points.
    l : ndarray of float, (K,)
        ``L(r)``; r for complete spatial randomness, more for clusters.
    low, high : ndarray of float, (K,)
        Pointwise envelope of the simulations at 95 %.
    p : float
        Of the test over all distances together: chance of such a largest ``|L(r) - r|`` at random.
    simulations : int
        How many random patterns were drawn.
    """

    r: NDFloat
    l: NDFloat  # noqa: E741 - the name that every text on it uses
    low: NDFloat
    high: NDFloat
    p: float
    simulations: int


def ripley_l(points: NDFloat, height: float, width: float, distances: NDFloat) -> NDFloat:
    """Ripley's L of points in a rectangle, with translation edge correction.

    ``K(r) = A^2 / (n (n - 1)) sum 1(d_ij <= r) / ((H - |dy|) (W - |dx|))`` over all ordered pairs, and
    ``L = sqrt(K / pi)`` (Ohser 1983; Illian et al. 2008, *Statistical Analysis and Modelling of Spatial Point
    Patterns*, 4.3).

    Parameters
    ----------
    points : ndarray of float, (N, 2)
        ``(y, x)``, at least 2 of them.
    height, width : float
        Of the rectangle.
    distances : ndarray of float, (K,)
        Ascending, all below the shorter side.

    Returns
    -------
    ndarray of float, (K,)
    """
    n = len(points)
    pairs = cKDTree(points).query_pairs(distances[-1], output_type="ndarray")
    gaps = np.abs(points[pairs[:, 0]] - points[pairs[:, 1]])
    weights = 2 / ((height - gaps[:, 0]) * (width - gaps[:, 1]))
    # Class k holds the pairs that count from distance k on.
    first = np.searchsorted(distances, np.hypot(gaps[:, 0], gaps[:, 1]), side="left")
    inside = first < len(distances)
    sums = np.cumsum(np.bincount(first[inside], weights[inside], len(distances)))
    return np.asarray(np.sqrt((height * width) ** 2 / (n * (n - 1)) * sums / math.pi))


def ripley(
    points: NDFloat, height: float, width: float, seed: int = 0, simulations: int = 199
) -> Ripley | None:
    """Ripley's L with the envelope of random points, and a test over all distances together.

    As many points as there are, uniform in the rectangle, are drawn `simulations` times. The envelope at
    one distance leaves 2.5 % of them out on either side. The test ranks the largest ``|L(r) - r|`` among
    those of the simulations (maximum absolute deviation; Ripley 1979; Baddeley et al. 2014, Ecol. Monogr.
    84(3), 477-489), which the envelope alone cannot: over many distances something always sticks out.
    Objects cannot overlap, so that L lies below r at distances shorter than they are wide.

    Parameters
    ----------
    points : ndarray of float, (N, 2)
        ``(y, x)``.
    height, width : float
        Of the rectangle.
    seed : int
        Of the random draws.
    simulations : int
        At least 39.

    Returns
    -------
    Ripley or None
        At 50 distances up to a quarter of the shorter side, less where a circle of it holds more than 40
        objects. None with fewer than 8 points.
    """
    n = len(points)
    if n < FEWEST_FOR_TEST:
        return None
    largest = min(min(height, width) / 4, math.sqrt(_MOST_NEIGHBOURS * height * width / (n * math.pi)))
    distances = np.linspace(0, largest, _STEPS + 1)[1:]
    observed = ripley_l(points, height, width, distances)
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            ripley_l(rng.uniform((0, 0), (height, width), (n, 2)), height, width, distances)
            for _ in range(simulations)
        ]
    )
    out = max(1, int(0.025 * (simulations + 1)))
    ranked = np.sort(drawn, axis=0)
    beyond = np.abs(drawn - distances).max(axis=1) >= np.abs(observed - distances).max()
    p = (1 + int(beyond.sum())) / (simulations + 1)
    return Ripley(distances, observed, ranked[out - 1], ranked[-out], p, simulations)


def share_above(sizes: NDFloat, areas: NDFloat, limit: float) -> float | None:
    """Agglomerate degree: share of the objects' area that is in objects larger than a limit.

    Parameters
    ----------
    sizes, areas : ndarray of float, (N,)
        Diameters, and areas (times weights).
    limit : float
        d*, in the unit of the sizes; there is no meaningful share without saying it.

    Returns
    -------
    float or None
        0..1; None without objects.
    """
    total = float(areas.sum())
    return float(areas[sizes > limit].sum()) / total if total else None


@dataclass(frozen=True)
class Scatter:
    """Scatter of a figure between fields.

    Attributes
    ----------
    n : int
        Fields.
    mean, sd, cv : float or None
        Mean of the fields, standard deviation (n - 1), and their ratio; None where undefined.
    """

    n: int
    mean: float | None
    sd: float | None
    cv: float | None


def scatter(values: Sequence[float]) -> Scatter:
    """Mean and scatter of one figure of every field; each field counts the same."""
    n = len(values)
    mean = float(np.mean(values)) if n else None
    sd = float(np.std(values, ddof=1)) if n > 1 else None
    return Scatter(n, mean, sd, sd / mean if sd is not None and mean else None)
