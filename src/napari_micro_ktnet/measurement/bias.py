"""Bias of what quality control reads from labels: area fraction, size and number of agglomerates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.distribution import percentiles
from napari_micro_ktnet.measurement.scores import ratio


@dataclass(frozen=True)
class Compared:
    """A quantity in truth and prediction.

    Attributes
    ----------
    truth, predicted : float
        The quantity; NaN where it is not defined (a median without objects).
    bias : float
        ``predicted - truth``.
    relative : float
        ``bias / truth``; NaN where the truth is 0.
    """

    truth: float
    predicted: float
    bias: float
    relative: float


@dataclass(frozen=True)
class BiasScores:
    """Bias of the material's numbers for one class.

    Attributes
    ----------
    area_fraction : Compared
        Share of the analysed pixels.
    d50_number, d50_area : Compared
        Median equivalent circular diameter, each object counting once, and by its area.
    density : Compared
        Objects per mm2, or per megapixel where the pixel size is not known.
    """

    area_fraction: Compared
    d50_number: Compared
    d50_area: Compared
    density: Compared


def compared(truth: float, predicted: float) -> Compared:
    """Put two values of a quantity side by side."""
    return Compared(truth, predicted, predicted - truth, ratio(predicted - truth, truth))


def d50(ecd: NDArray[np.float64], weight: NDArray[np.float64] | None = None) -> float:
    """Median diameter, by number or by weight.

    Parameters
    ----------
    ecd : ndarray of float, (N,)
        Diameters.
    weight : ndarray of float, (N,), optional
        Such as areas; without, it is the median.

    Returns
    -------
    float
        As `measure` gives it (see `distribution.percentiles`); NaN without objects.
    """
    return float(percentiles(ecd, np.ones(len(ecd)) if weight is None else weight, (0.5,))[0])


def bias_scores(
    truth: tuple[NDArray[np.float64], int, int],
    predicted: tuple[NDArray[np.float64], int, int],
    area: float,
) -> BiasScores:
    """Compare the material's numbers of one class.

    Parameters
    ----------
    truth, predicted : tuple of (ndarray of float, (N,)), int and int
        Equivalent circular diameters of the objects, pixels of the class, and analysed pixels.
    area : float
        Analysed area, in mm2 or megapixels.
    """
    sides = [
        (ratio(n, of), d50(ecd), d50(ecd, ecd**2), ratio(len(ecd), area)) for ecd, n, of in (truth, predicted)
    ]
    return BiasScores(*(compared(*pair) for pair in zip(*sides, strict=True)))
