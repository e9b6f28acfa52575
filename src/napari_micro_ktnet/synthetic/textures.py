"""Grounds: polymer surfaces and powder supports, as random fields made with the FFT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.spec import SceneSpec

    Field = NDArray[np.float32]

_ORIENTATIONS = 8


def standardise(field: Field) -> Field:
    """Shift and scale a field ``(Y, X)`` to mean 0 and standard deviation 1."""
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), dtype=np.float32)


def _frequencies(shape: tuple[int, int]) -> tuple[Field, Field]:
    fy = fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    return fy, fx


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Field:
    """Gaussian random field ``(Y, X)`` of unit variance, smoothed with ``sigma`` px.

    Coarse fields are made on a coarse grid and interpolated, so the cost does not grow with ``sigma``.
    """
    step = max(1, int(sigma / 2.5))
    small = (-(-shape[0] // step) + 3, -(-shape[1] // step) + 3)
    white = rng.standard_normal(small, dtype=np.float32)
    field = ndimage.gaussian_filter(white, sigma / step, mode="wrap", truncate=3) if sigma > 0 else white
    return standardise(enlarge(standardise(field), step, shape))


def enlarge(field: Field, step: int, shape: tuple[int, int]) -> Field:
    """Interpolate a coarse grid linearly to ``shape`` ``(Y, X)``, ``step`` px a cell."""
    if step == 1:
        return field[: shape[0], : shape[1]]
    y = np.arange(shape[0], dtype=np.float32) / step
    x = np.arange(shape[1], dtype=np.float32) / step
    y0, x0 = y.astype(np.intp), x.astype(np.intp)
    wy, wx = (y - y0)[:, None], (x - x0)[None, :]
    rows = field[y0] * (1 - wy) + field[y0 + 1] * wy
    return np.asarray(rows[:, x0] * (1 - wx) + rows[:, x0 + 1] * wx, dtype=np.float32)


def oriented_noise(source: Field, angle: Field, width: float, length: float, relief: float = 0.0) -> Field:
    """Smear a source field along a direction that changes from place to place.

    Parameters
    ----------
    source
        ``(Y, X)`` white noise or sparse impulses.
    angle
        ``(Y, X)`` direction of the streaks, radians (period pi).
    width, length
        Standard deviations across and along the streaks, px.
    relief
        0 = ridges, 1 = lit from one side (a bright flank and a dark one).

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` float32 of unit variance: a steered sum of eight fixed orientations.
    """
    fy, fx = _frequencies(source.shape)
    spectrum = fft.rfft2(source)
    out = np.zeros(source.shape, np.float32)
    for k in range(_ORIENTATIONS):
        theta = np.pi * k / _ORIENTATIONS
        along = fx * np.float32(np.cos(theta)) + fy * np.float32(np.sin(theta))
        across = -fx * np.float32(np.sin(theta)) + fy * np.float32(np.cos(theta))
        gain = np.exp(-2 * np.pi**2 * ((length * along) ** 2 + (width * across) ** 2))
        band = gain * (1 - relief) + 1j * gain * across * (relief * 2 * np.pi * width)
        weight = np.maximum(np.cos(2 * (angle - np.float32(theta))), 0) ** 3
        out += weight * fft.irfft2(spectrum * band.astype(np.complex64), s=source.shape)
    return standardise(out)


def swirl(rng: np.random.Generator, shape: tuple[int, int], sigma: float, turns: float) -> Field:
    """Smoothly turning direction field ``(Y, X)``, radians."""
    bias = rng.uniform(0, np.pi)
    return (bias + np.pi * turns * smooth_noise(rng, shape, sigma)).astype(np.float32)


def radial(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> tuple[Field, Field]:
    """Directions ``(Y, X)`` that run out from the nearest of many random centres, and the distance to it."""
    count = max(2, int(shape[0] * shape[1] / spacing**2))
    centres = rng.uniform((0, 0), shape, (count, 2))
    seeds = np.ones(shape, bool)
    seeds[centres[:, 0].astype(int), centres[:, 1].astype(int)] = False
    distance, nearest = ndimage.distance_transform_edt(seeds, return_indices=True)
    yy, xx = np.indices(shape)
    return np.arctan2(yy - nearest[0], xx - nearest[1]).astype(np.float32), distance.astype(np.float32)


def _impulses(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Field:
    return (rng.random(shape, dtype=np.float32) < share).astype(np.float32)


def _fibrous(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    length = scale * rng.uniform(1.2, 2.8)
    angle = swirl(rng, shape, max(4 * length, rng.uniform(12, 45)), rng.uniform(0.25, 0.6))
    if rng.random() < 0.5:
        source = _impulses(rng, shape, rng.uniform(0.05, 0.2) / (length * scale))
        worms = np.clip(oriented_noise(source, angle, 0.3 * scale, length), 0, 4)
        ridges = np.tanh(worms) * (1 + 0.5 * worms) - 0.3
    else:
        source = rng.standard_normal(shape, dtype=np.float32)
        ridges = np.clip(oriented_noise(source, angle, 0.4 * scale, length, rng.uniform(0, 0.4)), -2, 5)
    patchy = np.clip(0.8 + 0.4 * smooth_noise(rng, shape, 40), 0.2, 2)
    worms = ridges + rng.uniform(0, 0.35) * ridges * np.abs(ridges)
    other = smooth_noise(rng, shape, 25) + smooth_noise(rng, shape, 1)
    return standardise(worms * patchy + 0.3 * other)


def _lamellar(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    length = scale * rng.uniform(1.2, 2.8)
    angle = swirl(rng, shape, max(5 * length, rng.uniform(60, 160)), rng.uniform(0.1, 0.35))
    source = _impulses(rng, shape, rng.uniform(0.04, 0.3) / (length * scale))
    source *= np.clip(rng.uniform(0.4, 1.5) + smooth_noise(rng, shape, 40), 0, 1.5)
    angle = angle + 0.35 * smooth_noise(rng, shape, 2 * length)
    field = oriented_noise(source, angle, 0.4 * scale, length)
    # A steep response turns soft streaks into blades with an edge; what lies behind a blade is darker.
    blades = np.tanh(np.maximum(field - 0.6, 0) / 0.8) * (0.6 + 0.2 * np.minimum(field, 4))
    # A blade that faces the detector is as bright as an agglomerate, its neighbour hardly seen.
    facing = smooth_noise(rng, shape, rng.uniform(0.6, 1.2) * length)
    blades *= np.exp(rng.uniform(0.2, 0.9) * np.minimum(facing, 2))
    turn = rng.uniform(0, 2 * np.pi)
    offset = (int(np.rint(scale * np.sin(turn))), int(np.rint(scale * np.cos(turn))))
    behind = np.roll(ndimage.gaussian_filter(blades, 0.35 * scale), offset, axis=(0, 1))
    skin = smooth_noise(rng, shape, 1.2 * scale) + smooth_noise(rng, shape, 0.5 * scale)
    blades = blades - rng.uniform(0.1, 0.5) * behind
    return standardise(blades + rng.uniform(0.04, 0.1) * skin + 0.08 * smooth_noise(rng, shape, 30))


def _spherulitic(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    angle, distance = radial(rng, shape, rng.uniform(90, 300))
    angle = angle + rng.uniform(0.2, 0.7) * smooth_noise(rng, shape, 8 * scale)
    noise = rng.standard_normal(shape, dtype=np.float32)
    ridges = oriented_noise(noise, angle, 0.5 * scale, scale * rng.uniform(1.5, 4), rng.uniform(0, 0.5))
    patchy = np.clip(0.8 + 0.7 * smooth_noise(rng, shape, 30), 0.1, 3)
    spokes = smooth_noise(rng, shape, 6) * np.exp(-((distance / rng.uniform(40, 110)) ** 2))
    domains = smooth_noise(rng, shape, 40)
    bright = np.maximum(smooth_noise(rng, shape, 12) - 1.6, 0) * rng.uniform(0, 3)
    mottled = 0.5 * spokes + rng.uniform(0.2, 0.6) * domains
    return standardise(ridges * patchy + mottled + bright * (1 + ridges))


def _granular(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    bumps = smooth_noise(rng, shape, 0.6 * scale) - 0.8 * smooth_noise(rng, shape, 1.5 * scale)
    return standardise(np.exp(rng.uniform(0.2, 0.7) * bumps) + 0.2 * smooth_noise(rng, shape, 20))


def _membrane(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    blobs = smooth_noise(rng, shape, max(scale, 1.5))
    level = np.quantile(blobs[::4, ::4], rng.uniform(0.08, 0.35))
    wall = 1 / (1 + np.exp(-np.clip((blobs - level) * 8, -20, 20)))
    rim = np.exp(-(((blobs - level - 0.15) * 5) ** 2))
    return standardise(wall + 0.4 * rim + 0.05 * smooth_noise(rng, shape, 1))


def _smooth(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    fine = smooth_noise(rng, shape, 0.5 * scale) * 0.7
    return standardise(fine + 0.5 * smooth_noise(rng, shape, 4 * scale) + 0.5 * smooth_noise(rng, shape, 40))


def _support(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    field = 0.6 * smooth_noise(rng, shape, 0.6 * scale) + 0.6 * smooth_noise(rng, shape, 60)
    if rng.random() < 0.3:
        field += 0.5 * _granular(rng, shape, scale)
    return standardise(field)


_MAKERS = {
    "smooth": _smooth,
    "fibrous": _fibrous,
    "lamellar": _lamellar,
    "spherulitic": _spherulitic,
    "granular": _granular,
    "dark_support": _support,
    "membrane": _membrane,
}


def ground(rng: np.random.Generator, shape: tuple[int, int], spec: SceneSpec) -> Field:
    """Grey levels ``(Y, X)`` of the bare ground of a scene, before any blur or noise."""
    texture = _MAKERS[spec.matrix](rng, shape, spec.matrix_scale_px)
    return np.asarray(np.maximum(spec.matrix_level + spec.matrix_texture * texture, 0.0), dtype=np.float32)
