"""Labels with known agglomerates for several tests."""

from __future__ import annotations

import numpy as np

NM = 20.0
PLACE = {"scale": (NM / 1000, NM / 1000), "units": ("um", "um")}


def disks(*circles: tuple[int, int, int], shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Ones in circles (y, x, radius)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.any([(y - cy) ** 2 + (x - cx) ** 2 <= r**2 for cy, cx, r in circles], axis=0).astype(np.uint8)


LABELS = disks(
    (15, 20, 5),
    (15, 60, 8),
    (20, 110, 12),
    (60, 25, 3),
    (60, 70, 7),
    (65, 92, 17),
    (100, 30, 9),
    (100, 150, 11),
)
"""Eight disks, two of which touch each other, so that there are seven objects; one is cut by the edge."""
