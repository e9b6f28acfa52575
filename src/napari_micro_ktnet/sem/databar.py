"""Find the data bar in the pixels.

A data bar is drawn, not scanned: its background is one grey value repeated exactly (nearly, after
JPEG), it carries sharp text, it begins at one and the same row in every column, and it lies at the
bottom. Text drawn over an image has no such background, and a dark specimen border has no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.sem.image import DataBar

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Grey levels of 255 by which the background may vary: none in a lossless file, the rest for JPEG,
# where the largest comes first because a smaller one may see only the part of a bar without text.
_TOLERANCES = (0, 14, 8, 3)
# JPEG leaves this share of the bar near its background without reaching it.
_JPEG_SHARE = 0.005
_JPEG_BLOCK = 8
_BLOCKS = 16
_LARGEST_COLUMNS = 1536
_LARGEST_SHARE = 0.30
# One line of text with the room around it.
_LARGEST_TEXT_SHARE = 0.08
_SMALLEST_ROWS = 10
_SMALLEST_SHARE = 0.015
# Rows of the image that may follow below a floating bar.
_FLOAT_SHARE, _FLOAT_ROWS = 0.02, 4
# Rows that decide what the background is.
_STRIP_SHARE, _STRIP_ROWS = 0.04, 16
# Steps between text and background, of 255.
_SHARP = 40


def find_data_bar(pixels: NDArray[Any]) -> DataBar | None:
    """Find the data bar of an image from its pixels alone.

    Parameters
    ----------
    pixels : ndarray of shape (Y, X)
        Any real dtype. Only the lowest 30 % of the rows are looked at.

    Returns
    -------
    DataBar or None
        Rows of the bar; None where the image has none.
    """
    height, width = pixels.shape
    if height < 4 * _SMALLEST_ROWS or width < 4 * _BLOCKS:
        return None
    first = height - int(_LARGEST_SHARE * height)
    window = _Window.of(pixels[first:], height)
    if window is None:
        return None
    for tolerance in _TOLERANCES:
        rows = _Rows(window, tolerance)
        found = _search(rows, height)
        if found is not None:
            top = _without_ringing(window, *found)
            return DataBar(first + top, first + found[1], "pixels")
    return None


@dataclass(frozen=True, eq=False)
class _Window:
    """Lowest rows of the image.

    Attributes
    ----------
    off : float32 or uint8 ndarray of shape (R, W)
        Distance of each pixel from the background, in levels of 255.
    step : ndarray of shape (R, W - 1)
        Distance of each pixel from its right neighbour, in levels of 255.
    """

    off: NDArray[Any]
    step: NDArray[Any]
    values: NDArray[Any]

    @classmethod
    def of(cls, rows: NDArray[Any], height: int) -> _Window | None:
        rows = _fewer_columns(rows)
        strip = rows[-max(_STRIP_ROWS, int(_STRIP_SHARE * height)) :]
        if rows.dtype == np.uint8:
            background = int(np.bincount(strip.ravel(), minlength=256).argmax())
            values = rows
            return cls(_distance(rows, np.uint8(background)), _distance(rows[:, 1:], rows[:, :-1]), values)
        real = rows.astype(np.float32)
        low, high = float(np.nanmin(real, initial=np.inf)), float(np.nanmax(real, initial=-np.inf))
        if not (np.isfinite(low) and np.isfinite(high) and high > low):
            return None
        found, counts = np.unique(strip, return_counts=True)
        scaled = (real - low) * np.float32(255 / (high - low))
        level = (np.float32(found[counts.argmax()]) - low) * np.float32(255 / (high - low))
        return cls(np.abs(scaled - level), np.abs(np.diff(scaled, axis=1)), scaled)


def _fewer_columns(rows: NDArray[Any]) -> NDArray[Any]:
    """Blocks of neighbouring columns spread over the width: enough to judge a very wide image by."""
    width = rows.shape[1]
    if width <= 2 * _LARGEST_COLUMNS:
        return rows
    starts = np.arange(_BLOCKS) * width // _BLOCKS
    columns = (starts[:, None] + np.arange(_LARGEST_COLUMNS // _BLOCKS)).ravel()
    return rows[:, columns]


def _distance(a: NDArray[np.uint8], b: NDArray[np.uint8] | np.uint8) -> NDArray[np.uint8]:
    # The larger minus the smaller stays within 8 bits.
    return np.maximum(a, b) - np.minimum(a, b)


class _Rows:
    """Row by row: how much is not background, how much is not flat."""

    def __init__(self, window: _Window, tolerance: int) -> None:
        self.window = window
        self.thickest = max(4, len(window.off) // 40)
        self.content = window.off > tolerance
        uneven = window.step > tolerance
        self.content_share = np.count_nonzero(self.content, axis=1) / self.content.shape[1]
        self.uneven_share = np.count_nonzero(uneven, axis=1) / uneven.shape[1]

    def __len__(self) -> int:
        return len(self.content)

    @cached_property
    def content_in(self) -> NDArray[np.float64]:
        """Share of content in each of the blocks of columns, shape (R, blocks)."""
        # Not a matrix product: that would wake the threads of the linear algebra library.
        width = self.content.shape[1] // _BLOCKS
        blocks = [self.content[:, i * width : (i + 1) * width] for i in range(_BLOCKS)]
        return np.stack([np.count_nonzero(block, axis=1) / width for block in blocks], axis=1)

    @cached_property
    def line(self) -> NDArray[np.bool_]:
        """Rows of one value that is not the background's: frames and separators over the full width."""
        maybe = (self.content_share > 0.93) & (self.uneven_share < 0.08)
        line = np.zeros(len(self), dtype=bool)
        if not maybe.any():
            return line
        # A line is thin and unlike the rows on both of its sides.
        steps = np.flatnonzero(np.diff(np.concatenate(([False], maybe, [False])).astype(np.int8)))
        values = self.window.values.astype(np.float32, copy=False)
        for start, stop in steps.reshape(-1, 2).tolist():
            if stop - start > self.thickest or start == 0:
                continue
            sides = [(start - 1, start)] + ([(stop - 1, stop)] if stop < len(self) else [])
            differs = [float((np.abs(values[a] - values[b]) > 16).mean()) for a, b in sides]
            line[start:stop] = min(differs) > 0.6
        return line

    @cached_property
    def drawn(self) -> NDArray[np.bool_]:
        """Rows that may belong to a bar."""
        flat = (self.uneven_share < 0.5) & (self.content_share < 0.65)
        sparse = (self.uneven_share < 0.1) & (self.content_share < 0.8)
        return np.asarray(flat | sparse | self.line)


def _search(rows: _Rows, height: int) -> tuple[int, int] | None:
    """Top and bottom row of the bar within the window."""
    run = _drawn_run(rows, height)
    smallest = max(_SMALLEST_ROWS, int(_SMALLEST_SHARE * height))
    if run is None or run[1] - run[0] < smallest:
        return None
    start, bottom = run
    top: int | None = None
    for row in reversed(_edges(rows, start, bottom)):
        if top is None:
            if bottom - row >= smallest and _has_text(rows, row, bottom) and _is_picture(rows, row):
                top = row
        elif _belongs(rows, row, top, bottom):
            top = row
    return None if top is None else (top, bottom)


def _drawn_run(rows: _Rows, height: int) -> tuple[int, int] | None:
    """Find the run of drawn rows that ends at the bottom, or a few image rows above it."""
    lowest = len(rows) - max(_FLOAT_ROWS, int(_FLOAT_SHARE * height))
    ends = np.flatnonzero(rows.drawn[lowest:])
    if not len(ends):
        return None
    bottom = start = row = lowest + int(ends[-1])
    misses = 0
    while row >= 0 and misses <= 2:
        if rows.drawn[row]:
            start, misses = row, 0
        else:
            misses += 1
        row -= 1
    return start, bottom + 1


def _edges(rows: _Rows, start: int, bottom: int) -> list[int]:
    """Rows at which the whole width begins to be something else."""
    fall = np.zeros(len(rows))
    fall[1:] = rows.content_share[:-1] - rows.content_share[1:]
    edges: list[int] = []
    for row in range(max(4, start), bottom - 3):
        if rows.line[row]:
            if not rows.line[row - 1]:
                edges.append(row)
        elif fall[row] > 0.004 and fall[row] >= fall[row - 3 : row + 4].max() and _falls(rows, row):
            edges.append(row)
    return edges


def _falls(rows: _Rows, row: int) -> bool:
    """Whether what the rows above hold ends here, wherever in the width they hold something."""
    above = rows.content_in[row - 4 : row].mean(axis=0)
    below = rows.content_in[row : row + 3].mean(axis=0)
    active = above >= 0.01
    gone = active & (below <= 0.35 * above)
    return bool(active.sum() >= 3 and gone.sum() >= 0.8 * active.sum() and rows.content_share[row] < 0.2)


def _belongs(rows: _Rows, row: int, top: int, bottom: int) -> bool:
    """Whether the rows between a higher edge and the bar found so far are part of the bar."""
    if rows.line[row:top].all():
        return True
    share = rows.content_share[row:top]
    highest = min(1.5 * (bottom - top), _LARGEST_TEXT_SHARE / _LARGEST_SHARE * len(rows))
    if top - row > highest or rows.drawn[row:top].mean() <= 0.9:
        return False
    # Lines of text have clear rows between them, particles lie anywhere.
    gap, busy = np.percentile(share, (10, 80))
    # Noise stands out far less than text does.
    text, more = (float(np.median(part)) for part in (_heights(rows, top, bottom), _heights(rows, row, top)))
    return bool(gap <= 0.3 * busy and more >= 0.5 * text) and _has_text(rows, row, top, least=0.3)


def _heights(rows: _Rows, top: int, bottom: int) -> NDArray[Any]:
    """How far each pixel that is not background stands out from it."""
    off = rows.window.off[top:bottom][rows.content[top:bottom]]
    return off if len(off) else np.zeros(1, np.float32)


def _has_text(rows: _Rows, top: int, bottom: int, least: float = 1.0) -> bool:
    """Whether the drawn rows carry text: thin, sharp, upright strokes over much of the width."""
    content = rows.content[top:bottom] & ~rows.line[top:bottom, None]
    edges = np.count_nonzero(rows.window.step[top:bottom] >= _SHARP, axis=1)
    if (edges >= 6).sum() < 5 or edges.sum() < 100 * least:
        return False
    amount = int(np.count_nonzero(content))
    upright = np.count_nonzero(content[1:] & content[:-1]) / max(1, amount)
    busy = np.count_nonzero(rows.content_in[top:bottom].max(axis=0) > 0.02)
    runs = np.count_nonzero(content[:, 1:] & ~content[:, :-1]) + 1
    thin = amount / runs <= 8 + 0.012 * content.shape[1]
    return bool(upright > 0.4 and busy >= 4 and thin)


def _is_picture(rows: _Rows, top: int) -> bool:
    """Whether the rows above were scanned: what stands out from the background has texture.

    In a mask or a label image it is as flat as in a bar. Where everything stands out, there is a step
    over the full width, which is evidence enough.
    """
    above = slice(max(0, top - 64), top)
    content = rows.content[above, 1:]
    if content.mean() > 0.95:
        return True
    textured = np.count_nonzero(content & (rows.window.step[above] > 0))
    return bool(textured > 0.3 * np.count_nonzero(content))


def _without_ringing(window: _Window, top: int, bottom: int) -> int:
    """Move the top up over the rows that JPEG has mixed with the image above.

    Blocks of 8 x 8 pixels that hold both carry ripples of the one into the other.
    """
    off = window.off[top:bottom]
    if np.count_nonzero((off > 0) & (off <= 12)) < _JPEG_SHARE * off.size:
        return top
    first = max(1, top - 3 * _JPEG_BLOCK)
    rows = window.values[first - 1 : top + 3].astype(np.float32)
    change = np.abs(np.diff(rows, axis=0)).mean(axis=1)
    usual = float(np.median(change[: 2 * _JPEG_BLOCK]))
    near = change[-_JPEG_BLOCK - 3 :] - usual
    if near.max() < max(2.0, usual):
        return top
    return top + 3 - len(near) + int(np.argmax(near >= 0.4 * near.max()))
