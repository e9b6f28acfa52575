"""A height field of primary particles: what is seen from above, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_micro_ktnet.synthetic.textures import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.particles import Primaries

_WINDOWS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448, 640, 1280)
_CHUNK = 3_000_000


@dataclass(frozen=True)
class Surface:
    """What is seen from above; all arrays ``(Y, X)``.

    ``height`` in px above the ground (0 there), ``nx, ny, nz`` the unit normal, ``labels`` the agglomerate
    (0 = ground), ``primary`` the index of the primary particle (-1 = ground).
    """

    height: NDArray[np.float32]
    nx: NDArray[np.float32]
    ny: NDArray[np.float32]
    nz: NDArray[np.float32]
    labels: NDArray[np.int32]
    primary: NDArray[np.int32]


def warp(rng: np.random.Generator, surface: Surface, amount: float, primary_px: float) -> Surface:
    """Displace a surface sideways by a smooth random field, so that ideal bodies become irregular grains.

    Labels move with what is seen, so the truth stays exact.
    """
    shape: tuple[int, int] = surface.height.shape
    if amount * primary_px < 2 or not surface.labels.any():
        return surface
    at = []
    for axis, n in enumerate(shape):
        shift = (
            amount
            * primary_px
            * (
                0.07 * smooth_noise(rng, shape, max(1.0, 0.25 * primary_px))
                + 0.19 * smooth_noise(rng, shape, max(1.5, 0.6 * primary_px))
            )
        )
        index = np.arange(n, dtype=np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        at.append(np.clip(np.rint(index + shift), 0, n - 1).astype(np.intp))
    flat = at[0] * shape[1] + at[1]
    return Surface(
        height=surface.height.ravel()[flat],
        nx=surface.nx.ravel()[flat],
        ny=surface.ny.ravel()[flat],
        nz=surface.nz.ravel()[flat],
        labels=surface.labels.ravel()[flat],
        primary=surface.primary.ravel()[flat],
    )


def draw(primaries: Primaries, shape: tuple[int, int]) -> Surface:
    """Draw primary particles into a height field ``(Y, X)``; the highest at a pixel's centre is seen."""
    size = shape[0] * shape[1]
    height = np.zeros(size, np.float32)
    normal = np.zeros((2, size), np.float32)
    primary = np.full(size, -1, np.int32)
    reach = primaries.r / np.sqrt(primaries.ratio) * np.where(primaries.power > 2, 1.25, 1.0)
    window = np.minimum(np.searchsorted(_WINDOWS, reach + 1.0), len(_WINDOWS) - 1)
    for w in np.unique(window):
        half = _WINDOWS[int(w)]
        members = np.flatnonzero(window == w)
        step = max(1, _CHUNK // (2 * half + 1) ** 2)
        for start in range(0, members.size, step):
            _draw_some(primaries, members[start : start + step], half, shape, height, normal, primary)
    nz = np.sqrt(np.maximum(1 - normal[0] ** 2 - normal[1] ** 2, 0.0)).astype(np.float32)
    labels = np.where(primary >= 0, primaries.owner[primary] if primaries.owner.size else 0, 0)
    return Surface(
        height=height.reshape(shape),
        nx=normal[0].reshape(shape),
        ny=normal[1].reshape(shape),
        nz=nz.reshape(shape),
        labels=labels.astype(np.int32).reshape(shape),
        primary=primary.reshape(shape),
    )


def _draw_some(
    p: Primaries,
    members: NDArray[np.intp],
    half: int,
    shape: tuple[int, int],
    height: NDArray[np.float32],
    normal: NDArray[np.float32],
    primary: NDArray[np.int32],
) -> None:
    grid = np.arange(-half, half + 1)
    cx, cy = np.floor(p.x[members]).astype(np.int32), np.floor(p.y[members]).astype(np.int32)
    dx = (grid + 0.5 + (cx - p.x[members])[:, None]).astype(np.float32)
    dy = (grid + 0.5 + (cy - p.y[members])[:, None]).astype(np.float32)
    stretch = np.sqrt(p.ratio[members])
    cos, sin = np.cos(p.turn[members]), np.sin(p.turn[members])
    long_axis, short_axis = stretch / p.r[members], 1 / (stretch * p.r[members])
    # Along the axes of each particle, in units of the half axes: (N, rows, columns).
    u = (dx * (cos * long_axis)[:, None].astype("f4"))[:, None, :] + (
        dy * (sin * long_axis)[:, None].astype("f4")
    )[:, :, None]
    v = (dy * (cos * short_axis)[:, None].astype("f4"))[:, :, None] - (
        dx * (sin * short_axis)[:, None].astype("f4")
    )[:, None, :]
    ix, iy = cx[:, None] + grid, cy[:, None] + grid
    in_field = ((iy >= 0) & (iy < shape[0]))[:, :, None] & ((ix >= 0) & (ix < shape[1]))[:, None, :]
    near = np.flatnonzero(in_field & (np.abs(u) < 1) & (np.abs(v) < 1))
    which = near // grid.size**2
    power = p.power[members].astype(np.float32)[which]
    us, vs = u.ravel()[near], v.ravel()[near]
    round_ones = bool(np.all(power == 2))
    far = us**2 + vs**2 if round_ones else np.abs(us) ** power + np.abs(vs) ** power
    rise = np.sqrt(np.maximum(1 - far, 0)) if round_ones else np.maximum(1 - far, 0) ** (1 / power)
    z = (p.z[members][which] + rise * p.r[members][which]).astype(np.float32)
    row, column = near // grid.size % grid.size, near % grid.size
    at = iy[which, row] * shape[1] + ix[which, column]
    seen = np.flatnonzero((far < 1) & (z > height[at]))
    seen = seen[np.argsort(z[seen], kind="stable")]
    at, which, us, vs, power = at[seen], which[seen], us[seen], vs[seen], power[seen]
    height[at] = z[seen]
    primary[at] = members[which]
    if not round_ones:
        us, vs = np.sign(us) * np.abs(us) ** (power - 1), np.sign(vs) * np.abs(vs) ** (power - 1)
    normal[0, at] = us * cos[which] - vs * sin[which]
    normal[1, at] = us * sin[which] + vs * cos[which]
