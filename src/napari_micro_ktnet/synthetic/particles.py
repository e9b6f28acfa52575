"""Agglomerates as sets of primary particles: how they grow and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.spec import SceneSpec

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Primaries:
    """Primary particles of a whole scene; all arrays ``(N,)``, lengths in px.

    ``x, y, z`` are centres (z above the ground), ``r`` radii, ``ratio`` the short over the long axis,
    ``turn`` the direction of the long axis (radians), ``power`` 2 for an ellipsoid and more for a blocky
    crystal, ``owner`` the agglomerate's number from 1 (int32).
    """

    x: Floats
    y: Floats
    z: Floats
    r: Floats
    ratio: Floats
    turn: Floats
    power: Floats
    owner: NDArray[np.int32]


def _rotation(rng: np.random.Generator) -> Floats:
    """Uniformly random rotation ``(3, 3)`` from a random unit quaternion (Shoemake, 1992)."""
    a, b, c, d = rng.standard_normal(4)
    n = 2 / (a * a + b * b + c * c + d * d)
    return np.array(
        [
            [1 - n * (c * c + d * d), n * (b * c - a * d), n * (b * d + a * c)],
            [n * (b * c + a * d), 1 - n * (b * b + d * d), n * (c * d - a * b)],
            [n * (b * d - a * c), n * (c * d + a * b), 1 - n * (b * b + c * c)],
        ]
    )


class Chains:
    """Grows loose clusters of unit-diameter spheres by joining ever larger clusters at one contact.

    The more the contact lies at their far ends (``openness`` 1 rather than 0), the lower the fractal
    dimension: diffusion-limited cluster aggregation gives about 1.8. A few clusters of each size are kept and
    used again, turned at random.
    """

    _KEPT = 6

    def __init__(self, rng: np.random.Generator, openness: float) -> None:
        self._rng = rng
        self._openness = openness
        self._kept: dict[int, list[Floats]] = {}

    def grow(self, count: int) -> Floats:
        """Centres ``(N, 3)`` of ``count`` spheres, in diameters."""
        if count == 1:
            return np.zeros((1, 3))
        kept = self._kept.setdefault(count, [])
        if len(kept) == self._KEPT:
            return np.asarray(kept[self._rng.integers(self._KEPT)] @ _rotation(self._rng).T)
        first, second = self.grow(count - count // 2), self.grow(count // 2)
        towards = self._rng.standard_normal(3)
        towards /= np.sqrt(towards @ towards)
        a = first[self._contact(first @ towards)]
        b = second[self._contact(-(second @ towards))]
        joined = np.concatenate([first, second + (a + 0.95 * towards - b)])
        joined -= joined.mean(axis=0)
        kept.append(joined)
        return joined

    def _contact(self, reach: Floats) -> int:
        if reach.size == 1:
            return 0
        if self._rng.random() < self._openness**2:
            return int(np.argmax(reach))
        spread = np.sqrt(reach @ reach / reach.size) + 1e-6
        pull = (0.15 + 0.6 * self._openness) / (0.5 * spread)
        return int(np.argmax(reach * pull + self._rng.gumbel(size=reach.size)))


def _lobes(rng: np.random.Generator, ecd: float, primary: float) -> tuple[Floats, Floats]:
    """Centres ``(L, 2)`` and radii ``(L,)`` of touching domes that cover about a disk of ``ecd``."""
    lobes = 1 + int(rng.poisson(min(9.0, 0.6 * ecd / primary)))
    radii = ecd * 0.5 / np.sqrt(lobes) * rng.lognormal(0.0, 0.45, lobes) * (1.0 if lobes == 1 else 1.2)
    radii = np.sort(np.minimum(radii, 0.5 * ecd))[::-1]
    centre = np.zeros((lobes, 2))
    for k in range(1, lobes):
        parent = rng.integers(0, k)
        angle = rng.uniform(0, 2 * np.pi)
        gap = (radii[parent] + radii[k]) * rng.uniform(0.5, 0.85)
        centre[k] = centre[parent] + gap * np.array([np.cos(angle), np.sin(angle)])
    return centre, np.asarray(radii)


def heap(rng: np.random.Generator, ecd: float, primary: float) -> Floats:
    """Centres ``(N, 3)`` in px of a dense cauliflower heap about ``ecd`` px wide.

    A few overlapping flattened domes with wobbly outlines are covered with primary particles.
    """
    centre, radii = _lobes(rng, ecd, primary)
    shell = np.maximum(radii - 0.5 * primary, 0.15 * primary)
    counts = np.maximum(1, np.round(rng.uniform(1.6, 2.6) * (radii / (0.5 * primary)) ** 2)).astype(int)
    which = np.repeat(np.arange(radii.size), counts)
    n = which.size
    u = np.sqrt(rng.random(n))
    phi = rng.uniform(0, 2 * np.pi, n)
    wobble = np.ones(n)
    for k in (2, 3, 5):
        phase, depth = rng.uniform(0, 2 * np.pi, radii.size), rng.normal(0, 0.35 / k, radii.size)
        wobble += depth[which] * np.cos(k * phi + phase[which])
    rho = shell[which] * u * np.clip(wobble, 0.5, 1.5)
    steep = rng.uniform(0.35, 0.95, radii.size)[which]
    rough = 0.35 * primary * rng.standard_normal(n)
    height = shell[which] * steep * np.sqrt(np.maximum(1 - u**2, 0)) + rough + 0.2 * primary
    x, y = centre[which, 0] + rho * np.cos(phi), centre[which, 1] + rho * np.sin(phi)
    top = np.column_stack([x, y, height])
    return np.concatenate([top, _bed(rng, centre, shell, primary)])


def _bed(rng: np.random.Generator, centre: Floats, radii: Floats, primary: float) -> Floats:
    """Lowest layer ``(N, 3)`` of a heap: close-packed, so that no ground shows between those above."""
    # Disks of diameter d on a triangular lattice leave no gap up to a pitch of sqrt(3) / 2 d.
    pitch = 0.8 * primary
    reach = float(np.max(np.hypot(centre[:, 0], centre[:, 1]) + radii))
    n = int(reach / pitch) + 1
    j, i = np.mgrid[-n - n // 6 : n + n // 6 + 1, -n : n + 1]
    x = (i + 0.5 * (j % 2)).ravel() * pitch
    y = (j * np.sqrt(0.75)).ravel() * pitch
    gap = np.hypot(x[:, None] - centre[:, 0], y[:, None] - centre[:, 1]) - 0.9 * radii
    inside = np.min(gap, axis=1) < 0
    points = np.column_stack([x[inside], y[inside], np.full(np.count_nonzero(inside), 0.15 * primary)])
    return np.asarray(points + rng.normal(0, 0.08 * primary, points.shape))


def _diameters(rng: np.random.Generator, shape: tuple[int, int], spec: SceneSpec) -> Floats:
    """Equivalent diameters ``(N,)`` in px, largest first, that add up to the wanted area within the field."""
    total = spec.area_fraction * shape[0] * shape[1]
    if total <= 0:
        return np.empty(0)
    largest = max(spec.ecd_min_px, min(spec.ecd_max_px, np.sqrt(4 * 0.7 * total / np.pi)))
    drawn = [np.empty(0)]
    covered = 0.0
    while covered < total:
        batch = spec.ecd_median_px * rng.lognormal(0.0, spec.ecd_sigma, 64)
        batch = np.minimum(batch[batch >= spec.ecd_min_px], largest)
        drawn.append(batch)
        covered += float(np.sum(_area_within(batch, shape)))
    every = np.concatenate(drawn)
    sums = np.cumsum(_area_within(every, shape))
    return np.sort(every[: int(np.argmin(np.abs(sums - total))) + 1])[::-1]


def _area_within(ecd: Floats, shape: tuple[int, int]) -> Floats:
    """Mean area in px² that disks centred at random in a field ``(Y, X)`` have inside it.

    A point at (d_y, d_x) from a disk's middle falls outside with the chance |d_y| / Y, and the mean of |d_y|
    over a disk is 4 r / (3 pi).
    """
    offset = ecd * 2 / (3 * np.pi)
    inside = np.maximum(1 - offset / shape[0], 0.3) * np.maximum(1 - offset / shape[1], 0.3)
    return np.asarray(np.pi / 4 * ecd**2 * inside)


def _place(
    rng: np.random.Generator, diameters: Floats, shape: tuple[int, int], clustering: float
) -> tuple[Floats, Floats]:
    """Centres of agglomerates, largest first, each where it overlaps the earlier ones least."""
    n = diameters.size
    px, py = np.zeros(n, np.float32), np.zeros(n, np.float32)
    pr = (diameters / 2).astype(np.float32)
    for k in range(n):
        tries = 8
        x = rng.random(tries, dtype=np.float32) * shape[1]
        y = rng.random(tries, dtype=np.float32) * shape[0]
        if k and rng.random() < clustering:
            near = rng.integers(0, k, tries)
            angle = rng.uniform(0, 2 * np.pi, tries)
            gap = (pr[near] + pr[k]) * rng.uniform(0.95, 1.6, tries) + rng.exponential(4.0, tries)
            x = np.clip(px[near] + gap * np.cos(angle), 0, shape[1])
            y = np.clip(py[near] + gap * np.sin(angle), 0, shape[0])
        clear = np.full(tries, np.inf)
        if k:
            distance = np.sqrt((x[:, None] - px[:k]) ** 2 + (y[:, None] - py[:k]) ** 2)
            clear = np.min(distance - pr[:k] - pr[k], axis=1)
        best = int(np.argmax(clear > 1)) if np.any(clear > 1) else int(np.argmax(clear))
        px[k], py[k] = x[best], y[best]
    return px.astype(np.float64), py.astype(np.float64)


def _grow(rng: np.random.Generator, chains: Chains, ecd: float, spec: SceneSpec) -> tuple[Floats, Floats]:
    """Centres ``(N, 3)`` and radii ``(N,)`` in px of one agglomerate about ``ecd`` px wide."""
    primary = float(spec.primary_px * rng.lognormal(0, 0.5 * spec.primary_sigma))
    if ecd < 1.5 * primary:
        return np.array([[0.0, 0.0, 0.25 * ecd]]), np.array([0.5 * ecd])
    if rng.random() < spec.compactness and ecd > 2.5 * primary:
        centres = heap(rng, ecd, primary)
    else:
        # Spheres hide each other: N of them cover N**0.88 disks in a dense cluster, N**0.94 in a loose one.
        count = int(np.clip((ecd / primary) ** (2 / (0.94 - 0.06 * spec.compactness)), 2, 4000))
        centres = chains.grow(count) * primary
        # Loose clusters sag on the ground: heights are compressed to a few particle diameters.
        rise = np.maximum(0.6 * (centres[:, 2] - centres[:, 2].min()) / primary, 0)
        centres[:, 2] = primary * (0.3 + rise / (1 + 0.25 * rise))
    radii = 0.5 * primary * rng.lognormal(0, spec.primary_sigma, len(centres))
    return centres, np.minimum(radii, 0.5 * ecd)


def scatter(rng: np.random.Generator, shape: tuple[int, int], spec: SceneSpec) -> Primaries:
    """Grow and place all agglomerates of a scene in a field ``(Y, X)``, about ``area_fraction`` of it."""
    diameters = _diameters(rng, shape, spec)
    px, py = _place(rng, diameters, shape, spec.clustering)
    centres, radii, owner = [], [], []
    chains = Chains(rng, 1 - spec.compactness)
    for k, ecd in enumerate(diameters):
        c, r = _grow(rng, chains, float(ecd), spec)
        centres.append(c + np.array([px[k], py[k], 0.0]))
        radii.append(r)
        owner.append(np.full(len(r), k + 1, np.int32))
    xyz = np.concatenate(centres) if centres else np.empty((0, 3))
    n = len(xyz)
    who = np.concatenate(owner) if n else np.empty(0, np.int32)
    return Primaries(
        x=xyz[:, 0],
        y=xyz[:, 1],
        z=np.maximum(xyz[:, 2], 0.0),
        r=np.concatenate(radii) if n else np.empty(0),
        ratio=1 - rng.random(n) * (0.15 + 0.35 * spec.angularity),
        turn=rng.uniform(0, np.pi, n),
        power=2 + 3 * spec.angularity * rng.random(n),
        owner=who,
    )


def outlines(primaries: Primaries) -> Floats:
    """Middle and half-width ``(M, 3)`` = (x, y, r) in px of each agglomerate."""
    if primaries.owner.size == 0:
        return np.empty((0, 3))
    count = np.bincount(primaries.owner)[1:]
    x = np.bincount(primaries.owner, primaries.x)[1:] / count
    y = np.bincount(primaries.owner, primaries.y)[1:] / count
    reach = np.hypot(primaries.x - x[primaries.owner - 1], primaries.y - y[primaries.owner - 1]) + primaries.r
    widest = np.zeros(count.size)
    np.maximum.at(widest, primaries.owner - 1, reach)
    return np.column_stack([x, y, widest])
