"""Compare predictions with the truth: is it good, and where is it wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement import evaluation_export as export
from napari_micro_ktnet.measurement.class_scores import (
    ClassScores,
    Mean,
    class_scores,
    length_of_pixel,
    macro,
    mean_over_images,
    size_edges,
    sum_of,
)
from napari_micro_ktnet.measurement.comparison import ImageReport, compare_labels
from napari_micro_ktnet.measurement.label_folders import as_pairs, listed
from napari_micro_ktnet.measurement.label_pairs import (
    ComparedLabels,
    EvaluationOptions,
    LabelPair,
    LengthUnit,
    load_pair,
    with_classes,
)
from napari_micro_ktnet.measurement.label_values import LabelSource
from napari_micro_ktnet.measurement.scores import overall_accuracy, overall_mcc

Ignore = NDArray[np.bool_]


@dataclass(frozen=True)
class Overall:
    """Scores of all classes together, pooled over pixels.

    Attributes
    ----------
    accuracy : float
        Share of pixels, matrix included, with the right class.
    mcc : float
        Correlation of all classes at once (Gorodkin 2004).
    mean_iou, mean_f1 : float
        Mean over the classes besides matrix.
    """

    accuracy: float
    mcc: float
    mean_iou: float
    mean_f1: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a prediction, or of a data set of them.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes besides matrix.
    unit : {"um", "px"}
        Unit of diameters and distances: um where every image has a pixel size.
    options : EvaluationOptions
        What was asked for.
    size_edges : tuple of float
        Inner edges of the size classes in `unit`.
    pooled : dict of str to ClassScores
        By class, over all pixels and objects of all images together.
    mean_per_image : dict of str to dict of str to Mean
        By class and score, the mean of the scores of the images.
    per_image : tuple of dict of str to ClassScores
        Of every image, in the order of `images`.
    overall : Overall
        All classes together.
    images : tuple of ImageReport
        What was counted and measured, with the table of objects.
    warnings : tuple of str
        What makes the scores less certain than they look, one sentence each.
    """

    classes: tuple[str, ...]
    unit: LengthUnit
    options: EvaluationOptions
    size_edges: tuple[float, ...]
    pooled: dict[str, ClassScores]
    mean_per_image: dict[str, dict[str, Mean]]
    per_image: tuple[dict[str, ClassScores], ...]
    overall: Overall
    images: tuple[ImageReport, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as what JSON can hold; what is not defined is None."""
        return export.to_dict(self)

    def image_rows(self) -> list[dict[str, Any]]:
        """One row for each image and class, with every score."""
        return export.image_rows(self)

    def object_rows(self) -> list[dict[str, Any]]:
        """One row for each object, lengths in `unit`."""
        return export.object_rows(self)

    def write_json(self, path: Path) -> Path:
        """Write `to_dict`.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        return export.write_json(self, path)

    def write_csv(self, path: Path) -> Path:
        """Write `image_rows` as CSV.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        rows = self.image_rows()
        return export.write_csv(rows[0], rows, path)

    def write_objects_csv(self, path: Path) -> Path:
        """Write `object_rows` as CSV.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        return export.write_csv(export.OBJECT_COLUMNS, self.object_rows(), path)


def evaluate(
    prediction: LabelSource | Sequence[LabelSource],
    truth: LabelSource | Sequence[LabelSource],
    *,
    classes: Sequence[str] | None = None,
    ignore: Ignore | Sequence[Ignore | None] | None = None,
    pixel_size: tuple[float, float] | Sequence[tuple[float, float] | None] | None = None,
    not_annotated: int | None = None,
    instances: bool = False,
    tolerance: float = 2.0,
    tolerance_unit: LengthUnit = "px",
    size_edges: Sequence[float] | None = None,
    resample: bool = False,
    mask_colors: Mapping[str, tuple[int, int, int]] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compare labels with the truth: pixels, objects, outlines, and what quality control reads from them.

    Parameters
    ----------
    prediction, truth : array of int or bool, (Y, X), SEMImage, path, or a sequence of these
        Labels: 0 is matrix, classes are 1, 2, ... With one class any other value (255) is that class.
        Two folders are paired by stem, as `pair_folders` does.
    classes : sequence of str, optional
        Names of the classes besides matrix, in the order of their labels. If not given: one class
        ``agglomerate``, or as many as the labels hold.
    ignore : ndarray of bool, (Y, X), optional
        True where pixels must not count (data bar, not annotated); one for each image of a sequence.
    not_annotated : int, optional
        Label of the truth, such as 255, where nobody looked: these pixels do not count.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``, of the truth, for all images or one for each. If not given, what files say.
    instances : bool
        Labels number objects of one class. Otherwise objects are the 8-connected components of each class,
        and so they are on a side whose labels say only where the class is.
    tolerance : float
        For the normalised surface distance.
    tolerance_unit : {"px", "um"}
        Unit of `tolerance`.
    size_edges : sequence of float, optional
        Rising inner edges of the size classes (equivalent circular diameter of true objects): in um if
        every image has a pixel size, else px. If not given, round numbers that divide the truth.
    resample : bool
        Bring a prediction of another shape to the pixels of the truth, by nearest neighbour.
    mask_colors : mapping of str to (red, green, blue), optional
        Classes and their colours in files in colour.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Scores for each class: pooled, for each image, and their mean over images with an interval.

    Raises
    ------
    InputError, DataError, ReadError
        Labels are no labels, or prediction and truth do not fit together.
    """
    pairs, names, warnings = as_pairs(prediction, truth, ignore, pixel_size)
    options = EvaluationOptions(
        classes=tuple(classes or ()),
        not_annotated=not_annotated,
        instances=instances,
        tolerance=tolerance,
        tolerance_unit=tolerance_unit,
        size_edges=None if size_edges is None else tuple(size_edges),
        resample=resample,
        mask_colors=mask_colors,
        seed=seed,
    )
    options = with_classes(pairs, options, names)
    return summarize([report for _, report in iter_evaluate(pairs, options)], options, warnings)


def iter_evaluate(
    pairs: Iterable[LabelPair], options: EvaluationOptions
) -> Iterator[tuple[ComparedLabels, ImageReport]]:
    """Compare images one after the other; `summarize` makes scores of all reports.

    Parameters
    ----------
    pairs : iterable of LabelPair
        Read when their turn comes.
    options : EvaluationOptions
        How; all classes are named, as `with_classes` does.

    Yields
    ------
    labels : ComparedLabels
        What was compared.
    report : ImageReport
        What came out.

    Raises
    ------
    InputError, DataError, ReadError
        Labels are no labels, or prediction and truth do not fit together.
    """
    for pair in pairs:
        labels = load_pair(pair, options)
        yield labels, compare_labels(labels, options)


def summarize(
    reports: Sequence[ImageReport], options: EvaluationOptions, warnings: Sequence[str] = ()
) -> Evaluation:
    """Scores from the reports of all images.

    Parameters
    ----------
    reports : sequence of ImageReport
        From `iter_evaluate`, at least one.
    options : EvaluationOptions
        As they were made with.
    warnings : sequence of str
        To go with the result.

    Raises
    ------
    InputError
        There is no report, or none with a pixel that counts.
    """
    if not reports:
        raise InputError("There is no image to compare. Give at least one prediction with its truth.")
    blank = [r.name or "the image" for r in reports if not r.confusion.any()]
    if len(blank) == len(reports):
        raise InputError(f"All pixels of {listed(blank)} are left out or not annotated: leave some.")
    known = [r.pixel_size is not None for r in reports]
    unit: LengthUnit = "um" if all(known) else "px"
    told = list(warnings)
    if any(known) and not all(known):
        told.append(f"Only {sum(known)} of {len(known)} images have a pixel size: all lengths are in pixels.")
    if blank:
        told.append(f"All pixels of {listed(blank)} are left out or not annotated: they have no scores.")
    if options.not_annotated is not None and not any(r.confusion[1:].any() for r in reports):
        told.append(
            f"The truth holds no class at all besides {options.not_annotated}, which was said to mean "
            "'not annotated': does it mean the class itself?"
        )
    edges = options.size_edges if options.size_edges is not None else _edges(reports, unit)
    scored = [
        {name: class_scores(part, n, unit, edges) for n, name in enumerate(options.classes, 1)}
        for part in (reports, *([r] for r in reports))
    ]
    pooled, per_image = scored[0], tuple(scored[1:])
    flat = {name: [scores[name].flat() for scores in per_image] for name in options.classes}
    means = {
        name: {key: mean_over_images([row[key] for row in rows], options.seed) for key in rows[0]}
        for name, rows in flat.items()
    }
    confusion = sum_of([r.confusion for r in reports])
    overall = Overall(
        overall_accuracy(confusion),
        overall_mcc(confusion),
        *(macro(list(pooled.values()), score) for score in ("iou", "f1")),
    )
    return Evaluation(
        options.classes, unit, options, edges, pooled, means, per_image, overall, tuple(reports), tuple(told)
    )


def _edges(reports: Sequence[ImageReport], unit: LengthUnit) -> tuple[float, ...]:
    return size_edges(
        np.concatenate([r.objects.ecd[r.objects.in_truth] * length_of_pixel(r, unit) for r in reports])
    )
