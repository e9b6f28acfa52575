"""Labels from a cached probability, fast enough to follow a slider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.predict.result import Segmentation


class Thresholder:
    """The same labels as `Segmentation.labels`, with everything done once that no threshold changes.

    Parameters
    ----------
    segmentation : Segmentation
        Its probability ``(C, Y, X)`` or ``(C, Z, Y, X)`` is kept, not copied.
    """

    def __init__(self, segmentation: Segmentation) -> None:
        probability = segmentation.probability
        self._first = probability[0]
        self._analysed = segmentation.analysed
        self._best: NDArray[np.uint8] | None = None
        if len(probability) > 1:
            self._best = probability[1:].argmax(axis=0).astype(np.uint8)
            self._best += np.uint8(1)

    def labels(self, threshold: float) -> NDArray[np.uint8]:
        """Labels ``(Y, X)`` or ``(Z, Y, X)`` at a threshold from 0 to 1."""
        # Exactly the comparisons of predict.result: a rearranged one would round differently.
        inside = self._first >= threshold if self._best is None else self._first <= 1 - threshold
        inside &= self._analysed
        labels: NDArray[np.uint8] = inside.view(np.uint8)
        if self._best is not None:
            labels *= self._best
        return labels

    @property
    def analysed_pixels(self) -> int:
        """Number of pixels that the network looked at, over all slices."""
        return int(np.count_nonzero(self._analysed))
