"""One comparison of the Metrics widget, apart from layers and Qt: what is asked, steps, what comes back."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.measurement.error_map import error_map
from napari_micro_ktnet.measurement.label_grids import resampled
from napari_micro_ktnet.measurement.label_pairs import EvaluationOptions, LabelPair, with_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.measurement.comparison import ImageReport
    from napari_micro_ktnet.measurement.curve import ThresholdCurve
    from napari_micro_ktnet.measurement.evaluation import Evaluation
    from napari_micro_ktnet.measurement.label_pairs import ComparedLabels


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
    outside : ndarray of bool, (Y, X) or (Z, Y, X), or None
        On the grid of the prediction, what was not analysed.
    region : ndarray of bool, (Y, X), or None
        On the grid of the truth, what the user leaves out.
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
    from napari_micro_ktnet.measurement.evaluation import summarize
    from napari_micro_ktnet.measurement.label_folders import pair_folders

    folders = pair_folders(request.predictions, request.truth)
    options = with_classes(folders.pairs, request.options, folders.classes)
    reports = yield from _reports(folders.pairs, options)
    evaluation = summarize(reports, options, folders.warnings)
    return Comparison(evaluation, folders.pairs, folders.images)


def _compare_layers(request: LayersRequest) -> Generator[Step, None, Comparison]:
    from napari_micro_ktnet.measurement.evaluation import summarize

    pairs = tuple(_pairs(request))
    options = with_classes(pairs, request.options)
    compared: list[ComparedLabels] = []
    reports = yield from _reports(pairs, options, compared)
    errors = [error_map(c.prediction, c.truth, c.ignore, instances=options.instances) for c in compared]
    return Comparison(
        summarize(reports, options),
        pairs,
        errors=np.stack(errors).reshape(np.shape(request.truth)),
        curve=_curve(request, options, compared),
        curve_class=_curve_class(request, options),
    )


def _reports(
    pairs: tuple[LabelPair, ...], options: EvaluationOptions, compared: list[ComparedLabels] | None = None
) -> Generator[Step, None, list[ImageReport]]:
    """Compare pair by pair and keep what was compared where it is wanted."""
    from napari_micro_ktnet.measurement.evaluation import iter_evaluate

    reports: list[ImageReport] = []
    yield Step(0, len(pairs))
    for labels, report in iter_evaluate(pairs, options):
        if compared is not None:
            compared.append(labels)
        reports.append(report)
        yield Step(len(reports), len(pairs))
    return reports


def _curve_class(request: LayersRequest, options: EvaluationOptions) -> str:
    named = request.probability_class
    return named if named in options.classes else options.classes[0]


def _curve(
    request: LayersRequest, options: EvaluationOptions, compared: list[ComparedLabels]
) -> ThresholdCurve | None:
    from napari_micro_ktnet.measurement.curve import threshold_curve

    if request.probability is None:
        return None
    number = options.classes.index(_curve_class(request, options)) + 1
    truth = np.stack([c.truth > 0 if options.instances else c.truth == number for c in compared])
    ignored = [np.zeros(c.truth.shape, bool) if c.ignore is None else c.ignore for c in compared]
    probability = np.asarray(request.probability).reshape(truth.shape)
    return threshold_curve(probability, truth, ignore=np.stack(ignored))


def _pairs(request: LayersRequest) -> Iterator[LabelPair]:
    """One pair for a flat layer, one for every slice of a stack."""
    prediction, truth = np.asarray(request.prediction), np.asarray(request.truth)
    if truth.ndim == 2:
        ignore = _ignored(request, truth.shape)
        yield LabelPair(prediction, truth, request.name, ignore, request.pixel_size)
        return
    for z, (found, true) in enumerate(zip(prediction, truth, strict=True)):
        ignore = _ignored(request, true.shape, z)
        yield LabelPair(found, true, f"{request.name} [{z}]", ignore, request.pixel_size)


def _ignored(request: LayersRequest, shape: tuple[int, ...], z: int = 0) -> NDArray[np.bool_] | None:
    parts = [] if request.region is None else [request.region]
    outside = request.outside
    if outside is not None:
        parts.append(resampled(outside[z] if outside.ndim == 3 else outside, shape))
    return np.logical_or.reduce(parts) if parts else None
