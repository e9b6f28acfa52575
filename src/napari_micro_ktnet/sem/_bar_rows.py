"""What each of the lowest rows of an image looks like: drawn by a program, or scanned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Edge of the blocks that JPEG codes on their own: one without text is perfectly flat, whatever the quality.
CELL = 8
# Parts of the width; a bar has its background nearly everywhere, a logo or a label only here and there.
PARTS = 16
LARGEST_SHARE = 0.30
# Steps between text and background, of 255.
_SHARP = 32
_LARGEST_COLUMNS = 1536
# A drawn row has texture in fewer parts than this, and this share of pixels equal to their neighbours.
_TEXTURED_PARTS = 4
_LEAST_FLAT = 0.2
# JPEG makes small steps around text; smooth letters alone make fewer.
_SMALL_STEP, _LOSSY_SHARE = 3, 0.015


@dataclass(frozen=True, eq=False)
class BarRows:
    """Lowest rows of an image, in levels of 255.

    Attributes
    ----------
    values : uint8 or float32 ndarray of shape (R, W)
    step : uint8 or float32 ndarray of shape (R, W - 1)
        Distance of each pixel from its right neighbour.
    """

    values: NDArray[Any]
    step: NDArray[Any]

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> BarRows | None:
        """Take the rows of an image ``(Y, X)`` that may hold a bar; None where all have one value."""
        # Of a dask array, nothing else is read.
        lowest = np.asarray(pixels[pixels.shape[0] - int(LARGEST_SHARE * pixels.shape[0]) :])
        values, seams = _fewer_columns(lowest)
        if values.dtype != np.uint8:
            values = values.astype(np.float32)
            low = float(np.nanmin(values, initial=np.inf))
            high = float(np.nanmax(values, initial=-np.inf))
            if not (np.isfinite(low) and np.isfinite(high) and high > low):
                return None
            values = (values - low) * np.float32(255 / (high - low))
        # The larger minus the smaller stays within 8 bits.
        step = np.maximum(values[:, 1:], values[:, :-1]) - np.minimum(values[:, 1:], values[:, :-1])
        step[:, seams] = 0
        return cls(values, step)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def textured(self) -> NDArray[np.bool_]:
        """Parts with texture that is not next to text, shape (R, parts)."""
        cells = self.step.shape[1] // CELL
        largest = self.step[:, : cells * CELL]
        for _ in range(3):
            largest = np.maximum(largest[:, ::2], largest[:, 1::2])
        near = largest >= _SHARP
        # The ripples of JPEG around text reach as far as its block does.
        near[:, 1:] |= largest[:, :-1] >= _SHARP
        near[:, :-1] |= largest[:, 1:] >= _SHARP
        for shift in (1, 2, 4):
            grown = near.copy()
            grown[shift:] |= near[:-shift]
            grown[:-shift] |= near[shift:]
            near = grown
        starts = np.arange(PARTS) * cells // PARTS
        return np.logical_or.reduceat((largest > 0) & ~near, starts, axis=1)

    @cached_property
    def uneven(self) -> NDArray[np.float64]:
        """Share of pixels unlike their neighbour in each part, shape (R, parts)."""
        bounds = np.arange(PARTS + 1) * self.step.shape[1] // PARTS
        parts = [self.step[:, a:b] for a, b in pairwise(bounds.tolist())]
        return np.stack([np.count_nonzero(part, axis=1) / part.shape[1] for part in parts], axis=1)

    @cached_property
    def drawn(self) -> NDArray[np.bool_]:
        """Rows that may belong to a bar, shape (R,)."""
        few = np.count_nonzero(self.textured, axis=1) < _TEXTURED_PARTS
        return np.asarray(few & (self.uneven.mean(axis=1) <= 1 - _LEAST_FLAT))

    def is_lossy(self, top: int, bottom: int) -> bool:
        """Whether the drawn rows have been through JPEG."""
        step = self.step[top:bottom]
        small = np.count_nonzero((step > 0) & (step <= _SMALL_STEP))
        return bool(small >= _LOSSY_SHARE * step.size)

    def has_text(self, top: int, bottom: int) -> bool:
        """Whether the drawn rows carry sharp strokes over much of the width, on a flat background."""
        sharp = self.step[top:bottom] >= _SHARP
        strokes = np.count_nonzero(sharp, axis=1)
        # What hangs down from the image is no text: begin where there is the least of it.
        clear = int(strokes[: max(4, len(strokes) // 4)].argmin())
        sharp, strokes = sharp[clear:], strokes[clear:]
        parts = np.array_split(sharp.any(axis=0), PARTS)
        return bool(
            np.count_nonzero(strokes >= 6) >= 5
            and strokes.sum() >= 100
            and sum(part.any() for part in parts) >= 4
            and self.uneven[top:bottom].mean() <= 0.65
        )


def _fewer_columns(rows: NDArray[Any]) -> tuple[NDArray[Any], Sequence[int]]:
    """Take whole cells spread over the width, enough to judge a wide image by, and where they join."""
    width = rows.shape[1]
    if width <= 2 * _LARGEST_COLUMNS:
        return rows, ()
    each = _LARGEST_COLUMNS // PARTS
    starts = np.arange(PARTS) * width // PARTS // CELL * CELL
    return rows[:, (starts[:, None] + np.arange(each)).ravel()], range(each - 1, _LARGEST_COLUMNS - 1, each)
