"""Learning rates over a run."""

from __future__ import annotations

import math


def warm_cosine(done: int, steps: int) -> float:
    """Share of the peak learning rate: 5 % linear warm-up, then a cosine down to zero.

    Parameters
    ----------
    done : int
        Steps done.
    steps : int
        Steps planned.
    """
    warm = max(1, steps // 20)
    if done < warm:
        return (done + 1) / warm
    share = (done - warm) / max(1, steps - warm)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
