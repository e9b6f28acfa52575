"""Secondary-electron contrast of a height field over a ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_micro_ktnet.synthetic.textures import enlarge, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.spec import SceneSpec
    from napari_micro_ktnet.synthetic.surface import Surface

    Field = NDArray[np.float32]


def blurred(field: Field, sigma: float) -> Field:
    """Gaussian blur ``(Y, X)`` with ``sigma`` px, on a coarser grid where nobody sees it."""
    step = max(1, int(sigma / 3))
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3))
    pad = ((0, -field.shape[0] % step + step), (0, -field.shape[1] % step + step))
    padded = np.pad(field, pad, mode="edge")
    small = padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3))
    soft = ndimage.gaussian_filter(small, sigma / step, mode="nearest")
    return enlarge(np.pad(soft, ((0, 1), (0, 1)), mode="edge"), step, field.shape)


def _light(spec: SceneSpec) -> tuple[float, float]:
    azimuth = np.deg2rad(spec.lighting_azimuth_deg)
    return float(np.cos(azimuth)), float(-np.sin(azimuth))


def _particle_shade(rng: np.random.Generator, surface: Surface, spec: SceneSpec) -> Field:
    lx, ly = _light(spec)
    # Yield rises as 1 / cos(tilt) (Seiler, J. Appl. Phys. 54, 1983), here up to a tilt of 75 degrees.
    edge = (1 / np.maximum(surface.nz, 0.26) - 1) / 2.85
    body = blurred(surface.height, max(2.0, 1.2 * spec.primary_px))
    slope_y, slope_x = np.gradient(body)
    lambert = surface.nx * lx + surface.ny * ly - 0.8 * np.clip(slope_x * lx + slope_y * ly, -1, 1)
    shade = 0.85 + spec.edge_brightening * edge + 0.55 * spec.lighting_strength * lambert
    shape: tuple[int, int] = surface.height.shape
    fine = smooth_noise(rng, shape, max(0.8, 0.07 * spec.primary_px))
    coarse = smooth_noise(rng, shape, max(1.0, 0.2 * spec.primary_px))
    return np.asarray(shade * (1 + 0.04 * fine + 0.07 * coarse), dtype=np.float32)


def _depth(surface: Surface, spec: SceneSpec) -> Field:
    """Fraction of the signal that leaves a point: less where the surroundings are higher."""
    near = max(1.0, 0.45 * spec.primary_px)
    above = np.clip((blurred(surface.height, near) - surface.height) / near, -0.5, 2)
    far = 2.5 * near
    wall = np.clip((blurred(surface.height, far) - surface.height) / far, -0.5, 2)
    return np.asarray(np.exp(-spec.occlusion * (0.9 * above + 0.7 * wall)), dtype=np.float32)


def _ground_shadow(surface: Surface, spec: SceneSpec) -> Field:
    lx, ly = _light(spec)
    scale = max(2.0, 0.8 * spec.primary_px)
    wide = blurred(surface.height, scale) / scale
    shift = 0.8 * scale * spec.lighting_strength
    steps = int(np.rint(-ly * shift)), int(np.rint(-lx * shift))
    margin = max(1, *(abs(n) for n in steps))
    cast = np.roll(np.pad(wide, margin, mode="edge"), steps, (0, 1))[margin:-margin, margin:-margin]
    return np.asarray(np.exp(-spec.shadow * np.tanh(0.4 * wide + 0.6 * cast) * 1.3), dtype=np.float32)


def _shoulder(image: Field) -> Field:
    """Bend grey levels above 0.75 so that they near 1.1 slowly, as amplifiers do before they clip."""
    over = np.maximum(image - 0.75, 0)
    return np.asarray(np.minimum(image, 0.75) + 0.35 * (1 - np.exp(-over / 0.35)), dtype=np.float32)


def compose(rng: np.random.Generator, ground: Field, surface: Surface, spec: SceneSpec) -> Field:
    """Put the agglomerates of ``surface`` on ``ground``; grey levels ``(Y, X)`` before the detector."""
    count = int(surface.labels.max(initial=0)) + 1
    gain = spec.particle_level * rng.lognormal(0, spec.particle_spread, count)
    cover = np.where(rng.random(count) < spec.embedded_fraction, rng.uniform(0.35, 0.85, count), 0.0)
    lift = max(0.15, spec.particle_level - spec.matrix_level) * rng.uniform(0.25, 0.8, count)
    if count == 1:
        return ground
    inside = surface.labels > 0
    top = max(8.0, float(np.percentile(surface.height[inside], 95)))
    raised = 0.85 + 0.3 * np.minimum(surface.height / top, 1.2)
    tone = rng.normal(1.0, 0.07, int(surface.primary.max()) + 1)[surface.primary]
    shade = _particle_shade(rng, surface, spec) * _depth(surface, spec) * raised * tone
    shade /= max(0.1, float(np.mean(shade[inside])))
    bare = gain[surface.labels] * shade
    soft = max(1.5, 0.3 * spec.primary_px)
    weight = blurred(inside.astype(np.float32), soft)
    smooth = blurred(np.where(inside, np.clip(shade, 0, 1.5), 0).astype(np.float32), soft) / (weight + 0.05)
    skin = spec.matrix_level + lift[surface.labels] * (0.3 + 0.8 * smooth)
    skin = skin + 0.3 * (ground - spec.matrix_level)
    mix = cover[surface.labels]
    particles = (1 - mix) * bare + mix * skin
    floor = ground * _ground_shadow(surface, spec)
    if spec.glow > 0:
        bright = blurred(inside.astype(np.float32), 6.0) + blurred(inside.astype(np.float32), 20.0)
        floor = floor + spec.glow * 0.5 * bright
    return _shoulder(np.where(inside, particles, floor).astype(np.float32))
