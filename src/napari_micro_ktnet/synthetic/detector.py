"""From grey levels to a recorded picture: blur, charging, drift, shot noise, line jitter, data bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

from napari_micro_ktnet.synthetic.caption import scale_bar_length
from napari_micro_ktnet.synthetic.textures import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.synthetic.spec import SceneSpec

    Field = NDArray[np.float32]

_GLYPHS = {
    "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e",
    "4": "02060a121f0202", "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204080808",
    "8": "0e11110e11110e", "9": "0e11110f01020c", "V": "11111111110a04", "k": "10101214181412",
    "m": "00001a15151515", "n": "00001619111111", "u": "0000111111130d", "x": "0000110a040a11",
    "S": "0f10100e01011e", "E": "1f10101e10101f", "M": "111b1515111111", "W": "11111115151b11",
    "D": "1c12111111121c", ".": "00000000000c0c", "=": "00001f001f0000", " ": "00000000000000",
}  # fmt: skip


def _text(line: str, zoom: int) -> NDArray[np.bool_]:
    """Draw a line of text as a bitmap ``(7 * zoom, 6 * zoom * len(line))``; a 5 x 7 dot font."""
    cells = []
    for character in line:
        rows = bytes.fromhex(_GLYPHS[character])
        bits = [[bool(row >> (4 - k) & 1) for k in range(5)] + [False] for row in rows]
        cells.append(np.array(bits))
    return np.kron(np.concatenate(cells, axis=1), np.ones((zoom, zoom), bool)).astype(bool)


def data_bar(rng: np.random.Generator, width: int, height: int, pixel_size_nm: float) -> NDArray[np.uint8]:
    """Draw a data bar ``(height, width)``: a line of text, and a scale bar of its true length."""
    dark = rng.random() < 0.75
    ink, paper = (255, int(rng.integers(0, 25))) if dark else (0, int(rng.integers(225, 256)))
    bar = np.full((height, width), paper, np.uint8)
    if rng.random() < 0.5:
        bar[:1] = ink
    zoom = max(1, height // 16)
    length_nm, length = scale_bar_length(rng, width, pixel_size_nm)
    name = f"{length_nm:.0f} nm" if length_nm < 1000 else f"{length_nm / 1000:.0f} um"
    kv, wd = rng.choice((1, 2, 5, 10, 15, 20)), rng.uniform(3, 15)
    lines = f"SE {kv}.0 kV  WD = {wd:.1f} mm  {int(rng.choice((1, 2, 5, 10, 20, 50)))}000x"
    words, scale = _text(lines, zoom), _text(name, zoom)
    top = max(1, (height - 7 * zoom) // 2)
    left = int(rng.integers(2, 12))
    room = width - length - scale.shape[1] - 30
    fit = max(0, room - left) // (6 * zoom)
    if fit < len(lines):
        lines = lines[:fit].rsplit("  ", 1)[0]
        words = _text(lines, zoom) if lines else words[:, :0]
    patch = bar[top : top + words.shape[0], left : left + words.shape[1]]
    patch[words] = ink
    x = width - length - scale.shape[1] - 20
    if x > 0:
        bar[top + 3 * zoom : top + 4 * zoom, x : x + length] = ink
        bar[top : top + 7 * zoom, [x, x + length - 1]] = ink
        patch = bar[top : top + 7 * zoom, x + length + 8 : x + length + 8 + scale.shape[1]]
        patch[scale[: patch.shape[0], : patch.shape[1]]] = ink
    return bar


def bar_rows(spec: SceneSpec, height: int) -> int:
    """Rows at the bottom of a picture of ``height`` rows that its data bar takes."""
    return max(12, round(0.065 * height)) if spec.data_bar else 0


def _charge(rng: np.random.Generator, image: Field, strength: float) -> Field:
    """Streaks along the scan: lines lose or gain signal after very bright places (decay about 60 px)."""
    bright = np.maximum(image - np.percentile(image[::8, ::8], 92), 0)
    decay = np.exp(-1 / 60)
    trail = signal.lfilter([1 - decay], [1, -decay], bright, axis=1).astype(np.float32)
    lines = rng.standard_normal((image.shape[0], 1), dtype=np.float32)
    uneven = ndimage.gaussian_filter1d(lines, 1.0, axis=0) * 0.5 + 0.5 * lines
    sign = rng.choice((-1.0, -1.0, 1.0))
    return np.asarray(image + strength * (sign * 1.2 * trail * (1 + uneven) + 0.03 * uneven), np.float32)


def _shift_lines(rng: np.random.Generator, image: Field, sigma: float) -> Field:
    shift = rng.normal(0, sigma, (image.shape[0], 1))
    x = np.clip(np.arange(image.shape[1]) + shift, 0, image.shape[1] - 1.001)
    x0 = x.astype(np.intp)
    w = (x - x0).astype(np.float32)
    left = np.take_along_axis(image, x0, axis=1)
    right = np.take_along_axis(image, x0 + 1, axis=1)
    return np.asarray(left * (1 - w) + right * w)


def _drifted(rng: np.random.Generator, image: Field, spec: SceneSpec) -> Field:
    height, width = image.shape
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    gain = 1 + np.float32(spec.drift) * (x + y)
    if spec.mottling > 0:
        patches = smooth_noise(rng, (height, width), 0.12 * min(height, width))
        gain = gain + np.float32(spec.mottling) * patches
    return np.asarray(image * np.maximum(gain, 0.05), dtype=np.float32)


def _noise(rng: np.random.Generator, image: Field, spec: SceneSpec) -> Field:
    """Shot noise (Gaussian where more than 30 electrons make the difference invisible) and detector noise."""
    signal_level = np.maximum(image, 0)
    if spec.dose < 30:
        electrons = rng.poisson(signal_level * spec.dose).astype(np.float32)
        noisy = electrons / np.float32(spec.dose) - signal_level
        noisy += np.float32(spec.detector_noise) * rng.standard_normal(image.shape, dtype=np.float32)
    else:
        spread = np.sqrt(signal_level / np.float32(spec.dose) + np.float32(spec.detector_noise) ** 2)
        noisy = spread * rng.standard_normal(image.shape, dtype=np.float32)
    if spec.noise_correlation_px > 0.2:
        noisy = ndimage.gaussian_filter(noisy, spec.noise_correlation_px, truncate=3)
    return np.asarray(image + noisy, dtype=np.float32)


def record(rng: np.random.Generator, image: Field, spec: SceneSpec) -> NDArray[np.uint8]:
    """Record grey levels ``(Y, X)`` as uint8 ``(Y, X)``, with everything an instrument does to them."""
    image = _drifted(rng, image, spec)
    if spec.charging > 0:
        image = _charge(rng, image, spec.charging)
    if spec.blur_px > 0:
        image = ndimage.gaussian_filter(image, spec.blur_px, mode="nearest", truncate=3)
    if spec.jitter_px > 0:
        image = _shift_lines(rng, image, spec.jitter_px)
    image = _noise(rng, image, spec)
    level = np.clip((image - 0.5) * spec.contrast + 0.5 + spec.brightness, 0, 1)
    if spec.gamma != 1.0:
        level = level ** np.float32(spec.gamma)
    return np.asarray(np.round(level * 255), dtype=np.uint8)
