"""What lies on a ground and is not an agglomerate: pits, cracks, scratches, craters, patches, rods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.spec import SceneSpec

    Field = NDArray[np.float32]
    Floats = NDArray[np.float64]


# Share of the cavities with a smooth wall that faces the detector.
_LIT_WALLS = 0.5


def _count(rng: np.random.Generator, per_megapixel: float, shape: tuple[int, int]) -> int:
    return int(rng.poisson(per_megapixel * shape[0] * shape[1] / 1e6))


def _window(
    shape: tuple[int, int], x: float, y: float, half: float
) -> tuple[tuple[slice, slice], Field, Field] | None:
    x0, x1 = max(0, int(x - half)), min(shape[1], int(x + half) + 2)
    y0, y1 = max(0, int(y - half)), min(shape[0], int(y + half) + 2)
    if x0 >= x1 or y0 >= y1:
        return None
    dy, dx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    return (slice(y0, y1), slice(x0, x1)), dx - np.float32(x), dy - np.float32(y)


def _outline(rng: np.random.Generator, dx: Field, dy: Field, radius: float, rough: float) -> Field:
    """Signed distance-like field, px, negative inside a wobbly ellipse of mean ``radius``."""
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(0.45, 1.0)
    u = (dx * np.cos(turn) + dy * np.sin(turn)) * np.sqrt(ratio)
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / np.sqrt(ratio)
    phi = np.arctan2(v, u)
    edge = np.ones_like(dx)
    for k in range(2, 6):
        edge += rough / k * rng.standard_normal() * np.cos(k * phi + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.hypot(u, v) - radius * np.clip(edge, 0.3, 2), dtype=np.float32)


def _soft_inside(distance: Field, width: float) -> Field:
    return np.asarray(1 / (1 + np.exp(np.clip(distance / width, -30, 30))), dtype=np.float32)


def add_holes(rng: np.random.Generator, image: Field, spec: SceneSpec) -> None:
    """Dark pits, some with a bright rim or a bright far wall."""
    typical = rng.uniform(2.5, 12)
    rim_level = rng.uniform(0, 0.6)
    for _ in range(_count(rng, spec.holes, image.shape)):
        radius = float(np.clip(rng.lognormal(np.log(typical), 0.4), 1.5, 60))
        x, y = rng.uniform(0, image.shape[1]), rng.uniform(0, image.shape[0])
        cut = _window(image.shape, x, y, 2 * radius + 6)
        if cut is None:
            continue
        at, dx, dy = cut
        d = _outline(rng, dx, dy, radius, rng.uniform(0.03, 0.2))
        depth = rng.uniform(0.4, 0.97)
        inside = _soft_inside(d, 0.6)
        angle = rng.normal(np.deg2rad(spec.lighting_azimuth_deg), 0.4)
        facing = 0.6 + 0.4 * (dx * np.cos(angle) - dy * np.sin(angle)) / (np.hypot(dx, dy) + 1)
        rim = np.exp(-(((d - 0.8) / 1.3) ** 2)) * np.clip(facing, 0, 1) * rim_level * rng.uniform(0.3, 1)
        image[at] = image[at] * (1 - depth * inside) + rim


def add_craters(rng: np.random.Generator, image: Field, spec: SceneSpec, beside: Floats) -> None:
    """Smooth cavities, some with a bright wall, or skins of polymer, half of them around an agglomerate.

    ``beside`` is ``(M, 3)``: middle (x, y) and half-width of the agglomerates, px.
    """
    for _ in range(_count(rng, spec.craters, image.shape)):
        radius = float(np.clip(rng.lognormal(np.log(32), 0.5), 8, 160))
        x, y = rng.uniform(0, image.shape[1]), rng.uniform(0, image.shape[0])
        if len(beside) and rng.random() < 0.5:
            ax, ay, reach = beside[rng.integers(0, len(beside))]
            radius = float(np.clip(reach * rng.uniform(1.0, 2.2), 8, 160))
            x, y = ax + rng.normal(0, 0.4 * radius), ay + rng.normal(0, 0.4 * radius)
        cut = _window(image.shape, x, y, 1.7 * radius + 6)
        if cut is None:
            continue
        at, dx, dy = cut
        d = _outline(rng, dx, dy, radius, 0.3)
        inside = _soft_inside(d, 0.8)
        angle = rng.uniform(0, 2 * np.pi)
        slope = (dx * np.cos(angle) + dy * np.sin(angle)) / radius
        floor = spec.matrix_level * (rng.uniform(0.35, 1.25) + rng.uniform(0, 0.5) * slope)
        if rng.random() < _LIT_WALLS:
            floor *= rng.uniform(0.1, 1.0)
            towards = np.clip(slope + rng.uniform(-0.4, 0.6), 0, 1.3)
            floor += rng.uniform(0.1, 0.5) * towards ** rng.uniform(0.7, 2)
        around = 0.5 + 0.7 * (dx * np.cos(angle + 1) + dy * np.sin(angle + 1)) / (np.hypot(dx, dy) + 1)
        rim = rng.uniform(-0.1, 0.45) * np.exp(-((d / rng.uniform(0.9, 2.5)) ** 2)) * np.clip(around, 0, 1)
        keep = rng.uniform(0.05, 0.5)
        image[at] = image[at] * (1 - inside * (1 - keep)) + floor * inside * (1 - keep) + rim


def add_patches(rng: np.random.Generator, image: Field, spec: SceneSpec) -> None:
    """Soft bright or dark spots: charging, contamination, what lies under the surface."""
    for _ in range(_count(rng, spec.patches, image.shape)):
        radius = float(np.clip(rng.lognormal(np.log(25), 0.7), 4, 200))
        x, y = rng.uniform(0, image.shape[1]), rng.uniform(0, image.shape[0])
        cut = _window(image.shape, x, y, 2.2 * radius)
        if cut is None:
            continue
        at, dx, dy = cut
        d = _outline(rng, dx, dy, radius, 0.3) + radius
        image[at] += rng.uniform(-0.08, 0.22) * np.exp(-2 * (np.maximum(d, 0) / radius) ** 2)


def _stroke(image: Field, path: Floats, width: Floats, level: float, rim: float) -> None:
    """Draw a polyline ``(N, 2)`` of (x, y) points as dabs of the given half-widths, px."""
    for (x, y), w in zip(path, width, strict=True):
        cut = _window(image.shape, x, y, 3 * w + 2)
        if cut is None:
            continue
        at, dx, dy = cut
        d = np.hypot(dx, dy)
        inside = _soft_inside(d - np.float32(w), 0.35)
        image[at] += inside * (level - image[at])
        if rim:
            image[at] = np.maximum(image[at], rim * np.exp(-(((d - w - 1) / 0.8) ** 2)) * (1 - inside))


def _walk(rng: np.random.Generator, shape: tuple[int, int], steps: int, bend: float, jag: float) -> Floats:
    """Path ``(steps, 2)`` of (x, y), 1.2 px a step: slow turns of ``bend`` and kinks of ``jag`` radians."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps))
    heading += np.repeat(rng.normal(0, jag, steps // 5 + 1), 5)[:steps]
    start = rng.uniform((0, 0), (shape[1], shape[0]))
    moves = np.column_stack([np.cos(heading), np.sin(heading)]) * 1.2
    return np.asarray(start + np.cumsum(moves, axis=0))


def add_cracks(rng: np.random.Generator, image: Field, spec: SceneSpec) -> None:
    """Dark, jagged cracks."""
    for _ in range(_count(rng, spec.cracks, image.shape)):
        steps = int(np.exp(rng.uniform(np.log(6), np.log(130))))
        path = _walk(rng, image.shape, steps, 0.03, 0.7)
        taper = np.sin(np.linspace(0.1, np.pi - 0.1, steps)) * rng.uniform(0.5, 2.2)
        width = np.maximum(0.3, taper * rng.lognormal(0, 0.3, steps))
        _stroke(image, path, width, spec.matrix_level * rng.uniform(0, 0.5), 0.0)


def add_scratches(rng: np.random.Generator, image: Field, spec: SceneSpec) -> None:
    """Thin bright lines, nearly straight."""
    for _ in range(_count(rng, spec.scratches, image.shape)):
        steps = int(rng.integers(12, 150))
        path = _walk(rng, image.shape, steps, 0.02, 0.0)
        width = np.maximum(0.25, np.sin(np.linspace(0.1, np.pi - 0.1, steps)) * rng.uniform(0.4, 1.6))
        _stroke(image, path, width, spec.matrix_level + rng.uniform(0.1, 0.5), 0.0)


def add_fibres(rng: np.random.Generator, image: Field, spec: SceneSpec) -> None:
    """Long rods with bright edges, a little brighter than the ground."""
    for _ in range(_count(rng, spec.fibres, image.shape)):
        half = float(rng.lognormal(np.log(4), 0.6))
        length = half * rng.uniform(6, 30)
        x, y = rng.uniform(0, image.shape[1]), rng.uniform(0, image.shape[0])
        cut = _window(image.shape, x, y, 0.6 * length + 3 * half)
        if cut is None:
            continue
        at, dx, dy = cut
        turn = rng.uniform(0, np.pi)
        u = dx * np.cos(turn) + dy * np.sin(turn)
        v = dy * np.cos(turn) - dx * np.sin(turn) + rng.normal(0, 0.1) * u**2 / length
        d = np.hypot(np.maximum(np.abs(u) - length / 2, 0), v) - half
        inside = _soft_inside(d.astype(np.float32), 0.5)
        across = np.clip(v / half, -1, 1)
        level = spec.matrix_level * rng.uniform(0.9, 1.3) + 0.04 + 0.3 * across**6 + 0.1 * across
        image[at] += inside * (level - image[at])


def add_all(rng: np.random.Generator, image: Field, spec: SceneSpec, beside: Floats) -> None:
    """Draw every kind of distractor into ``image`` ``(Y, X)`` in place.

    ``beside`` is ``(M, 3)``: middle (x, y) and half-width of the agglomerates, px.
    """
    add_patches(rng, image, spec)
    add_craters(rng, image, spec, beside)
    add_cracks(rng, image, spec)
    add_scratches(rng, image, spec)
    add_fibres(rng, image, spec)
    add_holes(rng, image, spec)
