"""Where tiles lie and how they are blended. Pure geometry, no images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError

MULTIPLE = 32
"""Tile sides are multiples of the network's stride, so that the network pads nothing."""

OVERLAP = 0.0625
"""Share of a tile that neighbours have in common, unless asked otherwise."""

BUDGET = 960 * 704
"""Pixels of a tile, unless asked otherwise: above it a CPU's caches no longer hold what it works on."""

_SHORTEST_SIDE = 256
# Longest by shortest side: longer tiles see little context across.
_SLENDER = 2.25


@dataclass(frozen=True)
class Axis:
    """Tiles along one image axis.

    Attributes
    ----------
    length : int
        Image length in pixels.
    tile : int
        Tile length, a multiple of 32; longer than `length` where one padded tile covers all.
    starts : tuple of int
        First image pixel of each tile; negative for a tile that is padded on both sides.
    """

    length: int
    tile: int
    starts: tuple[int, ...]

    @cached_property
    def windows(self) -> NDArray[np.float32]:
        """Blending weights ``(tiles, tile)``: smooth, and summing to 1 at every image pixel."""
        raw = np.ones((len(self.starts), self.tile))
        for i in range(1, len(self.starts)):
            shared = self.starts[i - 1] + self.tile - self.starts[i]
            ramp = np.sin(np.pi / 2 * (np.arange(shared) + 0.5) / shared) ** 2
            raw[i, :shared] *= ramp
            raw[i - 1, self.tile - shared :] *= ramp[::-1]
        total = np.zeros(self.length + 2 * self.tile)
        for start, window in zip(self.starts, raw, strict=True):
            total[start + self.tile : start + 2 * self.tile] += window
        for start, window in zip(self.starts, raw, strict=True):
            window /= total[start + self.tile : start + 2 * self.tile]
        return raw.astype(np.float32)


@dataclass(frozen=True)
class Tile:
    """One tile of a plan.

    Attributes
    ----------
    rows, columns : slice
        The image pixels it covers.
    padding : tuple of tuple of int
        Pixels to add before and after along ``(Y, X)`` to reach the tile's size.
    window : tuple of ndarray
        Blending weights along Y (of ``rows``) and along X (of ``columns``).
    """

    rows: slice
    columns: slice
    padding: tuple[tuple[int, int], tuple[int, int]]
    window: tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class TilePlan:
    """A grid of equal tiles over an image; iterating gives them row by row.

    Attributes
    ----------
    y, x : Axis
        The tiles along each axis.
    """

    y: Axis
    x: Axis

    def __len__(self) -> int:
        return len(self.y.starts) * len(self.x.starts)

    def __iter__(self) -> Iterator[Tile]:
        for i in range(len(self.y.starts)):
            for j in range(len(self.x.starts)):
                rows, pad_y, window_y = _place(self.y, i)
                columns, pad_x, window_x = _place(self.x, j)
                yield Tile(rows, columns, (pad_y, pad_x), (window_y, window_x))


def _place(axis: Axis, i: int) -> tuple[slice, tuple[int, int], NDArray[np.float32]]:
    start = axis.starts[i]
    first, last = max(start, 0), min(start + axis.tile, axis.length)
    before = first - start
    return (
        slice(first, last),
        (before, start + axis.tile - last),
        axis.windows[i, before : before + last - first],
    )


def _axis(length: int, tiles: int, overlap: float) -> Axis:
    """`tiles` equal tiles that cover `length` and share at least `overlap` of a tile."""
    tile = int(np.ceil(length / (1 + (tiles - 1) * (1 - overlap)) / MULTIPLE)) * MULTIPLE
    if tile >= length:
        return Axis(length, tile, (-((tile - length) // 2),))
    starts = np.linspace(0, length - tile, max(tiles, 2)).round().astype(int)
    return Axis(length, tile, tuple(int(s) for s in starts))


def plan_tiles(
    shape: tuple[int, int], *, tile: int | None = None, overlap: float = OVERLAP, budget: int = BUDGET
) -> TilePlan:
    """Cover an image with as few tile pixels as possible.

    Parameters
    ----------
    shape : tuple of int
        Image size ``(Y, X)``.
    tile : int, optional
        Longest side of a tile in pixels. Without it tiles may be oblong, of at most `budget`
        pixels, chosen so that the fewest pixels are computed twice.
    overlap : float
        Least share of a tile that neighbours have in common, 0 to below 0.9.
    budget : int
        Most pixels of a tile where `tile` is not given.

    Returns
    -------
    TilePlan
        Equal tiles with sides that are multiples of 32.

    Raises
    ------
    InputError
        A value is out of range.
    """
    height, width = shape
    if min(height, width) < 1:
        raise InputError(f"The image region is empty: {height} x {width} pixels.")
    if not 0 <= overlap < 0.9:
        raise InputError(f"The overlap must be from 0 to below 0.9 (a share of the tile), found {overlap}.")
    if tile is not None:
        if tile < MULTIPLE:
            raise InputError(f"A tile must be at least {MULTIPLE} pixels long, found {tile}.")
        side = tile // MULTIPLE * MULTIPLE
        return TilePlan(
            *(_axis(length, _count(length, side, overlap), overlap) for length in (height, width))
        )
    best = min(
        (plan for plan in _candidates(height, width, overlap) if plan.y.tile * plan.x.tile <= budget),
        # Of plans that compute as many pixels, smaller tiles are faster and show progress sooner.
        key=lambda plan: (len(plan) * plan.y.tile * plan.x.tile, plan.y.tile * plan.x.tile),
        default=None,
    )
    return best or plan_tiles(shape, tile=_SHORTEST_SIDE, overlap=overlap)


def _count(length: int, tile: int, overlap: float) -> int:
    return 1 if length <= tile else int(np.ceil((length / tile - 1) / (1 - overlap))) + 1


def _candidates(height: int, width: int, overlap: float) -> Iterator[TilePlan]:
    def axes(length: int) -> list[Axis]:
        most = max(1, _count(length, _SHORTEST_SIDE, overlap))
        return [_axis(length, n, overlap) for n in range(1, most + 1)]

    columns = axes(width)
    for y in axes(height):
        for x in columns:
            short = min(y, x, key=lambda axis: axis.tile)
            # A slender image leaves no choice.
            if max(y.tile, x.tile) <= _SLENDER * short.tile or len(short.starts) == 1:
                yield TilePlan(y, x)
