"""Find the data bar in the pixels.

A data bar is drawn, not scanned: its background is one grey value repeated exactly (after JPEG too, but
for the blocks with text in them), it carries sharp text, it begins at one and the same row in every
column, and it lies at the bottom. Text drawn over an image has no such background, and a dark specimen
border has no text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.sem._bar_rows import CELL, PARTS, BarRows
from napari_micro_ktnet.sem.image import DataBar

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_ROWS = 10
_SMALLEST_SHARE = 0.015
# Rows of the image that may follow below a floating bar.
_FLOAT_SHARE = 0.02
_MISSES = 2
# Rows above a bar that tell what the image is like there.
_CONTEXT = 64
# Texture is over in a part of the width where this share of it is left.
_LEFT = 0.35
_STRAIGHT_PARTS = 0.85
_STEP_COLUMNS = 0.6
# A claimed bar: this share of pixels equal to their neighbours in this share of its rows.
_CLAIM_FLAT, _CLAIM_ROWS = 0.3, 0.75


def find_data_bar(pixels: NDArray[Any]) -> DataBar | None:
    """Find the data bar of an image from its pixels alone.

    Parameters
    ----------
    pixels : ndarray of shape (Y, X) or (Z, Y, X)
        Any real dtype, numpy or dask. Only the lowest 30 % of the rows are looked at, and of a stack,
        whose slices all have the same bar, the first slice.

    Returns
    -------
    DataBar or None
        Rows of the bar; None where the image has none.
    """
    pixels = _first(pixels)
    height, width = pixels.shape
    if height < 4 * _SMALLEST_ROWS or width < 2 * CELL * PARTS:
        return None
    rows = BarRows.of(pixels)
    if rows is None:
        return None
    smallest = max(_SMALLEST_ROWS, int(_SMALLEST_SHARE * height))
    run = _drawn_run(rows, smallest, CELL + int(_FLOAT_SHARE * height))
    if run is None:
        return None
    top = _top(rows, *run, smallest)
    if top is None or not rows.has_text(top, run[1]):
        return None
    first = height - len(rows)
    return DataBar(first + top, first + run[1], "pixels")


def may_be_bar(pixels: NDArray[Any], rows: int) -> bool:
    """Tell whether the lowest rows can be the data bar that the metadata claim.

    Parameters
    ----------
    pixels : ndarray of shape (Y, X) or (Z, Y, X)
        Any real dtype, numpy or dask. Of a stack the first slice is looked at.
    rows : int
        Height of the claimed bar, at least 1.

    Returns
    -------
    bool
        False where most of these rows have no drawn background: the bar was cut off, or has another height.
    """
    pixels = _first(pixels)
    claimed = np.asarray(pixels[pixels.shape[0] - rows :])
    equal = np.count_nonzero(claimed[:, 1:] == claimed[:, :-1], axis=1)
    return bool((equal >= _CLAIM_FLAT * (pixels.shape[1] - 1)).mean() >= _CLAIM_ROWS)


def _first(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 2 else pixels[0]


def _drawn_run(rows: BarRows, smallest: int, floating: int) -> tuple[int, int] | None:
    """Find the run of drawn rows that ends at the bottom, or a few image rows above it."""
    row = len(rows) - 1
    while row >= len(rows) - floating:
        bottom = start = row + 1
        misses = 0
        while row >= 0 and misses <= (_MISSES if start < bottom else 0):
            start, misses = (row, 0) if rows.drawn[row] else (start, misses + 1)
            row -= 1
        if bottom - start >= smallest:
            return start, bottom
    return None


def _top(rows: BarRows, start: int, bottom: int, smallest: int) -> int | None:
    """Row at which the whole width turns into a bar, in or next to the run of drawn rows."""
    lossy = rows.is_lossy(start, bottom)
    ends = _texture_ends(rows, start, CELL if lossy else 2)
    if ends and not lossy:
        return start
    # Blocks of JPEG that hold both image and bar carry ripples of the one into the other.
    around = slice(max(1, start - CELL + 1), start + 4)
    steps = _straight_steps(rows, around.start, bottom - smallest)
    near = {row: size for row, size in steps.items() if row < around.stop}
    if near:
        return next(row for row, size in near.items() if size >= 0.15 * max(near.values()))
    if ends:
        return _without_ripples(rows, start, around)
    return next(iter(steps), None)


def _texture_ends(rows: BarRows, start: int, slack: int) -> bool:
    """Whether the texture of the image ends within `slack` rows, wherever in the width there is any."""
    if start < 2 * CELL:
        return False
    uneven = rows.uneven
    above = uneven[start - slack - 4 : start - slack].mean(axis=0)
    until = uneven[start - slack : start].max(axis=0)
    # Among these rows is one between lines of text.
    below = uneven[start : start + 12].min(axis=0)
    active = uneven[max(0, start - _CONTEXT) : start].max(axis=0) > 0.02
    ends = (above > 0.02) & (until > _LEFT * above) & (below <= _LEFT * above)
    return bool(ends.sum() >= max(PARTS / 2, _STRAIGHT_PARTS * active.sum()))


def _changes(rows: BarRows, first: int, stop: int) -> NDArray[np.float32]:
    """Distance of each pixel of the rows from the one above it."""
    return np.abs(np.diff(rows.values[first - 1 : stop].astype(np.float32), axis=0))


def _straight_steps(rows: BarRows, first: int, stop: int) -> dict[int, float]:
    """Rows from `first` on at which most columns step far more than in the rows before, and how far."""
    earliest = max(1, first - 2 * CELL)
    if stop <= first:
        return {}
    change = _changes(rows, earliest, stop + 1)
    mean = change.mean(axis=1)
    steps: dict[int, float] = {}
    for i in range(first - earliest, len(change)):
        usual = float(np.median(mean[max(0, i - 2 * CELL) : i])) if i else 0.0
        if mean[i] < max(4.0, 2 * usual):
            continue
        share = float((change[i] > max(8.0, 2 * usual)).mean())
        if share >= _STEP_COLUMNS:
            steps[earliest + i] = share * float(mean[i])
    return steps


def _without_ripples(rows: BarRows, start: int, around: slice) -> int:
    """Row of the step that JPEG has blurred; without one, the row at which the noise of the image ends."""
    earliest = max(1, start - 3 * CELL)
    change = _changes(rows, earliest, around.stop).mean(axis=1)
    usual = float(np.median(change[: around.start - earliest]))
    near = change[around.start - earliest :]
    if near.max() >= 1.5 * usual:
        return int(around.start + np.argmax(near >= max(1.5 * usual, 0.2 * near.max())))
    noisy = np.flatnonzero(near[: start + 1 - around.start] >= 0.5 * usual)
    return int(around.start + noisy[-1]) if len(noisy) else start
