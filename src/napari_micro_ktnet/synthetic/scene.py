"""Render a scene to pixels and exact truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.synthetic.caption import add_caption
from napari_micro_ktnet.synthetic.detector import bar_rows, data_bar, record
from napari_micro_ktnet.synthetic.distractors import add_all
from napari_micro_ktnet.synthetic.particles import outlines, scatter
from napari_micro_ktnet.synthetic.shading import compose
from napari_micro_ktnet.synthetic.spec import SceneSpec
from napari_micro_ktnet.synthetic.surface import draw, warp
from napari_micro_ktnet.synthetic.textures import ground

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST, _LARGEST = 32, 8192
_TYPICAL = SceneSpec(
    matrix="fibrous",
    matrix_scale_px=2.5,
    matrix_texture=0.035,
    compactness=0.85,
    holes=12,
    craters=4,
    patches=6,
)


@dataclass(frozen=True)
class SyntheticSEM:
    """A synthetic SEM image and its truth.

    Attributes
    ----------
    pixels
        ``(Y, X)`` uint8.
    labels
        ``(Y, X)`` int32; 0 = not an agglomerate, 1..n the agglomerates (consecutive). Touching ones keep
        their own ids. A pixel belongs to the agglomerate that is highest at the pixel's centre.
    pixel_size
        ``(y, x)`` in nm.
    data_bar_rows
        Rows at the bottom that show a data bar (0 = none); truth is 0 there.
    spec, seed
        What it was made from.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    pixel_size: tuple[float, float]
    data_bar_rows: int
    spec: SceneSpec
    seed: int

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``(Y, X)`` bool, True on agglomerates."""
        return self.labels > 0


def _consecutive(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    seen = np.bincount(labels.ravel()) > 0
    seen[0] = False
    number = np.where(seen, np.cumsum(seen), 0).astype(np.int32)
    return np.asarray(number[labels])


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    whole = len(shape) == 2 and all(isinstance(n, (int, np.integer)) for n in shape)
    if not whole or not all(_SMALLEST <= n <= _LARGEST for n in shape):
        raise InputError(f"shape is {shape}; expected (Y, X) of {_SMALLEST} to {_LARGEST} px each.")
    return int(shape[0]), int(shape[1])


def render(spec: SceneSpec, shape: tuple[int, int] = (512, 512), seed: int = 0) -> SyntheticSEM:
    """Render a scene; the same arguments always give the same image.

    Parameters
    ----------
    spec
        The scene.
    shape
        ``(Y, X)`` of the picture, data bar included, 32 to 8192 px each.
    seed
        Non-negative seed of every random draw.

    Returns
    -------
    SyntheticSEM

    Raises
    ------
    InputError
        If the shape or the seed cannot be used.
    """
    height, width = _checked_shape(shape)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number from 0.")
    # One stream a stage, so that e.g. another dose leaves the geometry as it is.
    geometry, texture, shade, optics, text = (np.random.default_rng([int(seed), k]) for k in range(5))
    rows = bar_rows(spec, height)
    field = (height - rows, width)
    floor = ground(texture, field, spec)
    primaries = scatter(geometry, field, spec)
    add_all(texture, floor, spec, outlines(primaries))
    surface = warp(geometry, draw(primaries, field), spec.irregularity, spec.primary_px)
    pixels = record(optics, compose(shade, floor, surface, spec), spec)
    if spec.caption:
        add_caption(text, pixels, spec.pixel_size_nm)
    labels = _consecutive(surface.labels)
    if rows:
        bar = data_bar(optics, width, rows, spec.pixel_size_nm)
        pixels = np.concatenate([pixels, bar])
        labels = np.pad(labels, ((0, rows), (0, 0)))
    return SyntheticSEM(pixels, labels, (spec.pixel_size_nm, spec.pixel_size_nm), rows, spec, int(seed))


def masterbatch_image(shape: tuple[int, int] = (960, 1280), seed: int = 0, **overrides: Any) -> SyntheticSEM:
    """Render a typical field of a fibre masterbatch: bright cauliflower agglomerates on a grey polymer.

    Parameters
    ----------
    shape, seed
        As for :func:`render`.
    **overrides
        Values of :class:`SceneSpec` to use instead of those of the typical field.

    Returns
    -------
    SyntheticSEM

    Raises
    ------
    InputError
        If an override names no knob, or a value is out of range.
    """
    unknown = sorted(set(overrides) - set(SceneSpec.__dataclass_fields__))
    if unknown:
        known = ", ".join(SceneSpec.__dataclass_fields__)
        raise InputError(f"Unknown scene value(s) {', '.join(unknown)}; known are {known}.")
    return render(replace(_TYPICAL, **overrides), shape, seed)
