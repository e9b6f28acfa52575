"""A made-up image and its mask; apart from `helpers`, because a drawn window and torch do not go together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blobs(shape: tuple[int, int] = (96, 128), seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A noisy grey image with bright discs, and their mask."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    mask = np.zeros(shape, bool)
    for _ in range(6):
        cy, cx, r = rng.integers(shape[0]), rng.integers(shape[1]), rng.integers(6, 14)
        mask |= (y - cy) ** 2 + (x - cx) ** 2 < r**2
    grey = 60 + 110 * mask + rng.normal(0, 8, shape)
    return grey.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)
