"""Scores of a comparison as the lines of a table, with what each means and why one is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.tables import Cell, ScoreRow, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_micro_ktnet.measurement.bias import Compared
    from napari_micro_ktnet.measurement.class_scores import ClassScores, Mean
    from napari_micro_ktnet.measurement.evaluation import Evaluation

_PIXELS = {
    "iou": ("IoU", "Intersection over union: TP / (TP + FP + FN)."),
    "precision": ("precision", "Share of the predicted pixels that are right."),
    "recall": ("recall", "Share of the true pixels that are found."),
    "f1": ("F1 (Dice)", "2 TP / (2 TP + FP + FN)."),
    "accuracy": ("accuracy", "Share of all pixels that are right; high wherever most is matrix."),
    "specificity": (
        "specificity",
        "Share of the pixels of everything else that are not predicted as this class.",
    ),
    "mcc": ("MCC", "Matthews correlation, -1 to 1."),
    "interior_iou": ("IoU, interior", "IoU without the edge band."),
    "edge_iou": ("IoU, edge band", "IoU in a band along the edge, 5 % of the shorter side wide."),
}
_OUTLINES = {
    "boundary_iou": ("boundary IoU", "IoU of the pixels near the outlines (Cheng et al. 2021)."),
    "nsd": ("NSD in {tolerance}", "Share of both outlines that is within the tolerance of the other."),
    "hd95": ("Hausdorff 95, {unit}", "95 % of the outlines are no farther apart than this."),
}
_OBJECTS = {
    "object_precision_50": ("precision", "Share of the predicted objects that are real, at an IoU of 0.5."),
    "object_recall_50": ("recall", "Share of the true objects that are found, at an IoU of 0.5."),
    "object_f1_50": ("F1 at IoU 0.5", "An object counts as found if its IoU is at least 0.5."),
    "object_f1_75": ("F1 at IoU 0.75", "The same, with an IoU of at least 0.75."),
    "average_precision": ("average precision", "Mean of TP / (TP + FP + FN) over IoU 0.50, 0.55 ... 0.95."),
    "panoptic_quality": ("panoptic quality", "Mean IoU of the objects found, times their F1."),
    "border_object_recall": ("recall, at the edge", "Recall of objects that are cut by the edge."),
    "interior_object_recall": ("recall, elsewhere", "Recall of all other objects."),
}
_MATERIAL = {
    "area_fraction": ("area, %", 100.0, "Share of the analysed area."),
    "d50_number": ("D50 by number, {unit}", 1.0, "Median diameter, each object counting once."),
    "d50_area": ("D50 by area, {unit}", 1.0, "Objects up to this diameter hold half of the area."),
    "density": ("objects per {area}", 1.0, "Number density."),
}
_POOLED = "Over all pixels, objects and outlines of all images together."
_MEAN = "Mean of the scores of the images."
_INTERVAL = "95 % bootstrap interval of the mean, and (n) the images that count."
_WHY = {
    "n/a": "n/a: the class is in neither prediction nor truth. Such images are left out of means.",
    "missed": "n/a: the class is in the truth only.",
    "false": "n/a: the class is in the prediction only.",
    "compared": "n/a: it is not defined for these labels.",
}


def score_rows(result: Evaluation, name: str) -> list[ScoreRow]:
    """All scores of a class; of several images pooled, their mean, its interval and n."""
    pooled, unit = result.pooled[name], unit_name(result)
    tolerance = f"{result.options.tolerance:g} {result.options.tolerance_unit.replace('um', 'µm')}"
    rows = []
    for title, entries in (("Pixels", _PIXELS), ("Outlines", _OUTLINES), ("Objects", _OBJECTS)):
        rows.append(_heading(title, result))
        for key, (text, help_text) in entries.items():
            label = text.format(unit=unit, tolerance=tolerance)
            rows.append(ScoreRow(((label, help_text), *_values(result, name, key))))
    rows += _counts(pooled, many=len(result.images) > 1)
    return rows + _material(pooled, result) + _sizes(pooled, unit)


def overall_text(result: Evaluation) -> str:
    """Scores of all classes together, in one sentence."""
    total = result.overall
    return (
        f"All classes, pooled: accuracy {number(total.accuracy)}, MCC {number(total.mcc)}, "
        f"mean IoU {number(total.mean_iou)}, mean F1 {number(total.mean_f1)}."
    )


def summary(result: Evaluation) -> str:
    """Tell the outcome in a sentence or two, with whatever makes it less certain."""
    parts = []
    for name, scores in result.pooled.items():
        at = scores.objects.at_50
        pooled = "pooled IoU" if len(result.images) > 1 else "IoU"
        text = (
            f"{pooled} {number(scores.pixels.iou)}; {at.tp} of {at.tp + at.fn} objects found, {at.fp} false."
        )
        text = {
            "n/a": "in neither prediction nor truth: its scores are n/a.",
            "missed": "missed: it is in the truth only.",
            "false": "false: it is in the prediction only.",
        }.get(scores.status, text)
        parts.append(f"{name}: {text}" if len(result.pooled) > 1 or scores.status != "compared" else text)
    return " ".join([*parts, *result.warnings])


def unit_name(result: Evaluation) -> str:
    """Write the unit of lengths."""
    return "µm" if result.unit == "um" else "px"


def number(value: float) -> str:
    """Write a score with three decimals, or n/a."""
    return "n/a" if math.isnan(value) else f"{value:.3f}"


def why_missing(key: str, status: str, images: int) -> str:
    """Why a score is n/a."""
    if status == "compared" and key == "hd95" and images > 1:
        return "n/a: a distance has no value pooled over images; see the mean."
    if status == "compared" and key == "specificity":
        return "n/a: the truth is this class everywhere."
    if status == "compared" and key.startswith(("border", "interior", "edge")):
        return "n/a: there is nothing of the class in this part of the image."
    return _WHY[status]


def _heading(title: str, result: Evaluation) -> ScoreRow:
    if len(result.images) == 1:
        return ScoreRow(((title, ""), ("score", "Of this image.")), title=True)
    return ScoreRow(((title, ""), ("pooled", _POOLED), ("mean", _MEAN), ("95 % (n)", _INTERVAL)), title=True)


def _values(result: Evaluation, name: str, key: str) -> tuple[Cell, ...]:
    value = result.pooled[name].flat()[key]
    missing = why_missing(key, result.pooled[name].status, len(result.images))
    text = plain if key == "hd95" else number
    first = (text(value), missing if math.isnan(value) else f"{value:.6g}")
    if len(result.images) == 1:
        return (first,)
    mean = result.mean_per_image[name][key]
    tip = "n/a: it is defined in none of the images." if math.isnan(mean.value) else f"{mean.value:.6g}"
    return first, (text(mean.value), tip), _interval(mean, text)


def _interval(mean: Mean, text: Callable[[float], str]) -> Cell:
    if math.isnan(mean.low):
        return f"({mean.n})", "No interval for fewer than 3 images."
    return f"{text(mean.low)}..{text(mean.high)} ({mean.n})", _INTERVAL


def _counts(pooled: ClassScores, *, many: bool) -> list[ScoreRow]:
    objects = pooled.objects
    where = "Over all images." if many else ""
    entries = (
        ("true objects", objects.truth, where),
        ("predicted objects", objects.predicted, where),
        ("found", objects.at_50.tp, "Matched one to one with an IoU of at least 0.5."),
        ("missed", objects.at_50.fn, "True objects that are not found."),
        ("false", objects.at_50.fp, "Predicted objects that are not real."),
        ("split", objects.splits, "True objects that hold most of each of several predicted ones."),
        ("merged", objects.merges, "Predicted objects that hold most of each of several true ones."),
    )
    # They stand below the pooled scores.
    rest: tuple[Cell, ...] = (("", ""),) * 2 if many else ()
    return [ScoreRow(((text, tip), (str(value), tip), *rest)) for text, value, tip in entries]


def _material(pooled: ClassScores, result: Evaluation) -> list[ScoreRow]:
    rows = [ScoreRow((("Material", _POOLED), ("truth", ""), ("predicted", ""), ("bias", "")), title=True)]
    area = "mm²" if result.unit == "um" else "Mpx"
    for key, (text, factor, tip) in _MATERIAL.items():
        values: Compared = getattr(pooled.bias, key)
        sides = [_quantity(side * factor) for side in (values.truth, values.predicted)]
        bias = "n/a" if math.isnan(values.relative) else f"{values.relative:+.1%}"
        why = "n/a: the truth is 0 or not defined." if bias == "n/a" else "(predicted - truth) / truth"
        rows.append(ScoreRow(((text.format(unit=unit_name(result), area=area), tip), *sides, (bias, why))))
    return rows


def _quantity(value: float) -> Cell:
    return plain(value), "n/a: there is no object." if math.isnan(value) else f"{value:.6g}"


def _sizes(pooled: ClassScores, unit: str) -> list[ScoreRow]:
    title = f"Diameter, {unit}"
    rows = [
        ScoreRow(
            ((title, "Of the circle of the same area."), ("truth", ""), ("found", ""), ("recall", "")), True
        )
    ]
    for entry in pooled.objects.sizes:
        found = entry.detection
        total = found.tp + found.fn
        why = "n/a: no true object is of this size." if not total else "found / truth"
        recall = (number(found.recall) if total else "n/a", why)
        cells = ((size_text(entry.low, entry.high), ""), (str(total), ""), (str(found.tp), ""), recall)
        rows.append(ScoreRow(cells))
    return rows


def size_text(low: float, high: float) -> str:
    """Bounds of a size class."""
    if math.isinf(high):
        return f"from {low:g}" if low else "all"
    return f"{low:g} to {high:g}"
