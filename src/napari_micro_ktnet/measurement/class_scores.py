"""Scores of one class, of one image or pooled over many, and their mean over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.bias import BiasScores, bias_scores
from napari_micro_ktnet.measurement.comparison import ImageReport
from napari_micro_ktnet.measurement.label_pairs import LengthUnit
from napari_micro_ktnet.measurement.object_scores import ObjectScores, object_scores
from napari_micro_ktnet.measurement.objects import join
from napari_micro_ktnet.measurement.scores import PixelScores, ratio, scores_from_confusion

RESAMPLES, CONFIDENCE, LEAST_FIELDS = 2000, 0.95, 3
Status = Literal["compared", "missed", "false", "n/a"]

_NM_PER_UM, _UM2_PER_MM2, _MEGA = 1e3, 1e6, 1e6


@dataclass(frozen=True)
class BoundaryScores:
    """Agreement of outlines; see `napari_micro_ktnet.measurement.boundary`.

    Attributes
    ----------
    boundary_iou, nsd : float
        0..1; NaN if the class is on neither side, 0 if on one only.
    hd95 : float
        Hausdorff distance at 95 %, in um or px; NaN unless the class is on both sides, and for
        several images, where it has no pooled value.
    """

    boundary_iou: float
    nsd: float
    hd95: float


@dataclass(frozen=True)
class ClassScores:
    """All scores of one class.

    Attributes
    ----------
    status : {"compared", "missed", "false", "n/a"}
        Whether the class is on both sides, in the truth only, in the prediction only, or on neither.
    pixels : PixelScores
        Of all analysed pixels.
    boundary : BoundaryScores
        Of outlines.
    objects : ObjectScores
        Of objects.
    bias : BiasScores
        Of the material's numbers.
    edge, interior : PixelScores
        Pixel scores in the band along the edge of the analysed region, and in the rest.
    """

    status: Status
    pixels: PixelScores
    boundary: BoundaryScores
    objects: ObjectScores
    bias: BiasScores
    edge: PixelScores
    interior: PixelScores

    def flat(self) -> dict[str, float]:
        """Every score under a name of its own, for tables."""
        found: dict[str, float] = asdict(self.pixels) | asdict(self.boundary)
        objects = self.objects
        for percent, at in ((50, objects.at_50), (75, objects.at_75)):
            found |= {f"object_{name}_{percent}": value for name, value in asdict(at).items()}
        for name in ("average_precision", "panoptic_quality", "segmentation_quality", "recognition_quality"):
            found[name] = getattr(objects, name)
        found |= {"truth_objects": objects.truth, "predicted_objects": objects.predicted}
        found |= {"splits": objects.splits, "merges": objects.merges, "count_bias": objects.count_bias}
        for name, values in asdict(self.bias).items():
            found |= {f"{name}_{side}": value for side, value in values.items()}
        for where in ("edge", "interior"):
            found |= {f"{where}_{n}": getattr(getattr(self, where), n) for n in ("iou", "f1")}
        found["border_object_recall"] = objects.border.recall
        found["interior_object_recall"] = objects.interior.recall
        return found


@dataclass(frozen=True)
class Mean:
    """Mean of a score over images.

    Attributes
    ----------
    value : float
        Mean over the images for which the score is defined; NaN if for none.
    low, high : float
        Bootstrap interval of 95 %; NaN for fewer than 3 images.
    n : int
        Images that count.
    """

    value: float
    low: float
    high: float
    n: int


def class_scores(
    reports: Sequence[ImageReport], number: int, unit: LengthUnit, edges: Sequence[float]
) -> ClassScores:
    """Score a class over all pixels and objects of one or several images together.

    Parameters
    ----------
    reports : sequence of ImageReport
        At least one.
    number : int
        The class, from 1.
    unit : {"px", "um"}
        Unit of lengths; "um" needs the pixel size of every image.
    edges : sequence of float
        Inner edges of the size classes.
    """
    confusion, interior = (sum_of([getattr(r, n) for r in reports]) for n in ("confusion", "interior"))
    pixels, inner, outer = (
        scores_from_confusion(m)[number - 1] for m in (confusion, interior, confusion - interior)
    )
    boundary = reduce(add, (r.boundary[number - 1] for r in reports))
    tables = [r.objects.select(r.objects.class_number == number) for r in reports]
    scales = [length_of_pixel(r, unit) for r in reports]
    table = join(tables)
    ecd = np.concatenate([t.ecd * s for t, s in zip(tables, scales, strict=True)])
    analysed = [int(r.confusion.sum()) for r in reports]
    area = sum(n * s**2 for n, s in zip(analysed, scales, strict=True))
    predicted, actual = int(confusion[:, number].sum()), int(confusion[number].sum())
    return ClassScores(
        status=_status(predicted, actual),
        pixels=pixels,
        boundary=BoundaryScores(boundary.boundary_iou, boundary.nsd, boundary.hd95 * scales[0]),
        objects=object_scores(table, ecd, edges),
        bias=bias_scores(
            (ecd[table.in_truth], actual, sum(analysed)),
            (ecd[~table.in_truth], predicted, sum(analysed)),
            area / (_UM2_PER_MM2 if unit == "um" else _MEGA),
        ),
        edge=outer,
        interior=inner,
    )


def sum_of(matrices: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Sum of confusion matrices of one shape."""
    total: NDArray[np.int64] = np.sum(matrices, axis=0, dtype=np.int64)
    return total


def length_of_pixel(report: ImageReport, unit: LengthUnit) -> float:
    """Side of the square of the area of a pixel, in um or px."""
    return 1.0 if unit == "px" or report.pixel_side is None else report.pixel_side / _NM_PER_UM


def mean_over_images(values: Sequence[float], seed: int) -> Mean:
    """Mean of a score over images with a percentile bootstrap interval.

    Parameters
    ----------
    values : sequence of float
        One for each image; NaN where it is not defined there.
    seed : int
        Of the resampling.

    Returns
    -------
    Mean
        Images are drawn with replacement 2000 times; the interval runs from the 2.5th to the 97.5th
        percentile of the means (Efron and Tibshirani 1993, *An Introduction to the Bootstrap*, ch. 13).
    """
    known = np.array([v for v in values if not np.isnan(v)])
    if len(known) < LEAST_FIELDS:
        value = float(known.mean()) if len(known) else float("nan")
        return Mean(value, float("nan"), float("nan"), len(known))
    drawn = np.random.default_rng(seed).integers(0, len(known), (RESAMPLES, len(known)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(known[drawn].mean(axis=1), (tail, 100 - tail))
    return Mean(float(known.mean()), float(low), float(high), len(known))


def size_edges(ecd: NDArray[np.float64]) -> tuple[float, ...]:
    """Round edges (1, 2, 5, 10, ...) between the 10th and the 90th percentile of diameters."""
    if not len(ecd):
        return ()
    low, high = np.percentile(ecd, (10, 90))
    rounds = [digit * 10.0**exponent for exponent in range(-4, 6) for digit in (1, 2, 5)]
    return tuple(float(f"{e:.6g}") for e in rounds if low < e < high)


def _status(predicted: int, actual: int) -> Status:
    if predicted:
        return "compared" if actual else "false"
    return "missed" if actual else "n/a"


def macro(scores: Sequence[ClassScores], name: str) -> float:
    """Mean of a pixel score over the classes for which it is defined."""
    known = [v for v in (getattr(s.pixels, name) for s in scores) if not np.isnan(v)]
    return ratio(sum(known), len(known))
