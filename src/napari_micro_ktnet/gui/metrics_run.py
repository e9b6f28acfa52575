"""One comparison of the Metrics widget, apart from layers and Qt: what is asked, steps, what comes back."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.label_pairs import (
    ONE_CLASS,
    EvaluationOptions,
    LabelPair,
    load_pair,
    resampled,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.measurement.comparison import ImageReport
    from napari_micro_ktnet.measurement.curve import ThresholdCurve
    from napari_micro_ktnet.measurement.evaluation import Evaluation
    from napari_micro_ktnet.measurement.label_pairs import ComparedLabels

RIGHT, MISSED, FALSE, OTHER = 1, 2, 3, 4
"""Labels of the error layer: right, missed, false, and the wrong one of several classes."""


@dataclass(frozen=True, eq=False)
class LayersRequest:
    """Two layers to compare.

    Attributes
    ----------
    prediction, truth : array-like of int, (Y, X) or (Z, Y, X)
        As they were when Compare was pressed.
    name : str
        Of the image.
    options : EvaluationOptions
        How; `classes` may be empty.
    outside : ndarray of bool, (Y, X), or None
        On the grid of the prediction, what was not analysed.
    region : ndarray of bool, (Y, X), or None
        On the grid of the truth, what the user leaves out.
    not_annotated : int or None
        Label of the truth where nobody looked.
    pixel_size : tuple of float or None
        nm, ``(y, x)``, of the truth.
    probability : array-like of float, shape of the truth, or None
        For the threshold curve.
    probability_class : str
        Class that it is of.
    """

    prediction: Any
    truth: Any
    name: str
    options: EvaluationOptions
    outside: NDArray[np.bool_] | None = None
    region: NDArray[np.bool_] | None = None
    not_annotated: int | None = None
    pixel_size: tuple[float, float] | None = None
    probability: Any = None
    probability_class: str = ""


@dataclass(frozen=True)
class FoldersRequest:
    """Two folders to compare, as ``micro-ktnet evaluate`` does.

    Attributes
    ----------
    predictions, truth : Path
        Folders.
    options : EvaluationOptions
        How; `classes` may be empty.
    """

    predictions: Path
    truth: Path
    options: EvaluationOptions


@dataclass(frozen=True)
class Step:
    """So far `done` of `total` images are compared; 0 of 0 before anything is read."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """A finished comparison.

    Attributes
    ----------
    evaluation : Evaluation
        All scores.
    pairs : tuple of LabelPair
        What was compared, one for each image of the evaluation.
    images : tuple of Path or None
        Files of the images where known; empty for layers.
    errors : ndarray of uint8, (Y, X) or (Z, Y, X), or None
        `error_map` on the grid of the truth; None for folders.
    curve : ThresholdCurve or None
        Scores against the threshold.
    curve_class : str
        Class that it is of.
    """

    evaluation: Evaluation
    pairs: tuple[LabelPair, ...]
    images: tuple[Path | None, ...] = ()
    errors: NDArray[np.uint8] | None = None
    curve: ThresholdCurve | None = None
    curve_class: str = ""


def error_map(labels: ComparedLabels, *, instances: bool) -> NDArray[np.uint8]:
    """Label every pixel by what is right and wrong about it.

    Parameters
    ----------
    labels : ComparedLabels
        Prediction and truth on one grid.
    instances : bool
        Labels number objects of one class.

    Returns
    -------
    ndarray of uint8, (Y, X)
        0 where both are matrix and where pixels are ignored, else `RIGHT`, `MISSED`, `FALSE` or `OTHER`.
    """
    predicted, true = labels.prediction > 0, labels.truth > 0
    found = np.zeros(labels.truth.shape, np.uint8)
    found[predicted & true] = RIGHT
    found[true & ~predicted] = MISSED
    found[predicted & ~true] = FALSE
    if not instances:
        found[predicted & true & (labels.prediction != labels.truth)] = OTHER
    if labels.ignore is not None:
        found[labels.ignore] = 0
    return found


def compare_steps(request: LayersRequest | FoldersRequest) -> Generator[Step, None, Comparison]:
    """Compare what a request asks for; yields before it reads, and after every image.

    Raises
    ------
    MicroKTNetError
        As `napari_micro_ktnet.evaluate` does.
    """
    yield Step(0, 0)
    if isinstance(request, FoldersRequest):
        return (yield from _compare_folders(request))
    return (yield from _compare_layers(request))


def _compare_folders(request: FoldersRequest) -> Generator[Step, None, Comparison]:
    from napari_micro_ktnet.measurement.evaluation import summarize, with_classes
    from napari_micro_ktnet.measurement.label_folders import pair_folders

    folders = pair_folders(request.predictions, request.truth)
    options = request.options
    if not options.classes:
        options = replace(options, classes=folders.classes or ONE_CLASS)
        options = options if folders.classes else with_classes(folders.pairs, options)
    reports = yield from _reports(folders.pairs, options, None)
    evaluation = summarize(reports, options, folders.warnings)
    return Comparison(evaluation, folders.pairs, folders.images)


def _compare_layers(request: LayersRequest) -> Generator[Step, None, Comparison]:
    from napari_micro_ktnet.measurement.curve import threshold_curve
    from napari_micro_ktnet.measurement.evaluation import summarize, with_classes

    pairs = tuple(_pairs(request))
    options = request.options
    if not options.classes:
        options = with_classes(pairs, replace(options, classes=ONE_CLASS))
    errors: list[NDArray[np.uint8]] = []
    reports = yield from _reports(pairs, options, errors)
    evaluation = summarize(reports, options)
    curve, of = None, request.probability_class or options.classes[0]
    if request.probability is not None:
        number = options.classes.index(of) + 1 if of in options.classes else 1
        many = len(options.classes) > 1
        truth = np.stack([(p.truth == number) if many else (p.truth != 0) for p in pairs])
        ignored = [
            np.zeros(t.shape, bool) if p.ignore is None else p.ignore
            for p, t in zip(pairs, truth, strict=True)
        ]
        probability = np.asarray(request.probability).reshape(truth.shape)
        curve = threshold_curve(probability, truth, ignore=np.stack(ignored))
    shape = np.shape(request.truth)
    return Comparison(evaluation, pairs, (), np.stack(errors).reshape(shape), curve, of)


def _reports(
    pairs: tuple[LabelPair, ...], options: EvaluationOptions, errors: list[NDArray[np.uint8]] | None
) -> Generator[Step, None, list[ImageReport]]:
    """Compare pair by pair and keep the error maps where they are wanted."""
    from napari_micro_ktnet.measurement.comparison import compare_labels

    reports: list[ImageReport] = []
    for pair in pairs:
        yield Step(len(reports), len(pairs))
        labels = load_pair(pair, options)
        reports.append(compare_labels(labels, options))
        if errors is not None:
            errors.append(error_map(labels, instances=options.instances))
    yield Step(len(reports), len(pairs))
    return reports


def _pairs(request: LayersRequest) -> Iterator[LabelPair]:
    """One pair for a flat layer, one for every slice of a stack."""
    prediction, truth = np.asarray(request.prediction), np.asarray(request.truth)
    flat = truth.ndim == 2
    slices = zip(prediction[None] if flat else prediction, truth[None] if flat else truth, strict=True)
    for z, (found, true) in enumerate(slices):
        ignore = _ignored(request, true)
        if request.not_annotated is not None:
            # It would be taken for a class.
            true = np.where(true == request.not_annotated, true.dtype.type(0), true)
        if ignore is not None and ignore.all():
            raise InputError(
                f"Nothing is left to compare{'' if flat else f' in slice {z}'}: all pixels are left out. "
                "Leave out less."
            )
        if request.options.instances:
            found, true = _numbered(found), _numbered(true)
        name = request.name if flat else f"{request.name} [{z}]"
        yield LabelPair(found, true, name, ignore, request.pixel_size)


def _ignored(request: LayersRequest, truth: NDArray[Any]) -> NDArray[np.bool_] | None:
    parts = [] if request.region is None else [request.region]
    if request.outside is not None:
        parts.append(resampled(request.outside, truth.shape))
    if request.not_annotated is not None:
        parts.append(truth == request.not_annotated)
    return np.logical_or.reduce(parts) if parts else None


def _numbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Turn labels that say only where the class is into numbers of objects."""
    from napari_micro_ktnet.measurement.objects import number_objects

    high = int(labels.max())
    alone = not np.any((labels != 0) & (labels != high))
    return number_objects(labels != 0) if alone else labels
