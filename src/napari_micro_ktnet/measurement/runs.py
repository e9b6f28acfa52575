"""Runs of pixels along the rows, from which everything else is summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of pixels of one object in a row, sorted by object, then from top to bottom.

    Attributes
    ----------
    number : ndarray of int32, (R,)
        Object, from 1.
    row, first, stop : ndarray of int, (R,)
        The run covers the columns ``[first, stop)`` of its row.
    """

    number: NDArray[np.int32]
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]

    @property
    def length(self) -> NDArray[np.int64]:
        """Pixels of each run."""
        return self.stop - self.first

    def sums(self, values: NDArray[Any], count: int) -> NDArray[np.float64]:
        """Sum a value of each run over each of `count` objects."""
        return np.asarray(np.bincount(self.number, weights=values, minlength=count + 1)[1:], float)

    def bounds(self, count: int) -> NDArray[np.int64]:
        """Index of each object's first run, and one past the last."""
        return np.searchsorted(self.number, np.arange(1, count + 2))


def find_runs(objects: NDArray[np.int32]) -> Runs:
    """Find the runs of objects ``(Y, X)``, numbered from 1."""
    flat = np.ascontiguousarray(objects).ravel()
    begins = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[:: objects.shape[1]] = True
    starts = np.flatnonzero(begins)
    length = np.diff(starts, append=flat.size)
    number = flat[starts]
    order = np.argsort(number, kind="stable")
    order = order[np.searchsorted(number[order], 1) :]
    row, first = np.divmod(starts[order], objects.shape[1])
    return Runs(number[order], row, first, first + length[order])
