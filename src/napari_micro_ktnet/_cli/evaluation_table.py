"""An evaluation on the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.class_scores import ClassScores, Mean
    from napari_micro_ktnet.measurement.evaluation import Evaluation

_GROUPS = {
    "Pixels": {
        "iou": "IoU",
        "precision": "precision",
        "recall": "recall",
        "f1": "F1 (Dice)",
        "accuracy": "accuracy",
        "specificity": "specificity",
        "mcc": "MCC",
        "interior_iou": "IoU in the interior",
        "edge_iou": "IoU in the edge band",
    },
    "Outlines": {
        "boundary_iou": "boundary IoU",
        "nsd": "NSD within {tolerance}",
        "hd95": "Hausdorff 95 %, {unit}",
    },
    "Objects": {
        "object_precision_50": "precision at IoU 0.5",
        "object_recall_50": "recall at IoU 0.5",
        "object_f1_50": "F1 at IoU 0.5",
        "object_f1_75": "F1 at IoU 0.75",
        "average_precision": "average precision",
        "panoptic_quality": "panoptic quality",
        "border_object_recall": "recall at the border",
        "interior_object_recall": "recall elsewhere",
    },
}
_MATERIAL = {
    "area_fraction": ("area fraction, %", 100.0),
    "d50_number": ("D50 by number, {unit}", 1.0),
    "d50_area": ("D50 by area, {unit}", 1.0),
    "density": ("objects per {area}", 1.0),
}
_MOST_IMAGES = 30


def print_evaluation(result: Evaluation) -> None:
    """Print all scores of a data set, and the main ones of its images."""
    count = len(result.images)
    for warning in result.warnings:
        print(f"Note: {warning}")
    print(f"{count} image{'s' if count > 1 else ''}. Pooled: over all pixels, objects and outlines together.")
    print("Mean: of the scores of the images, with its 95 % bootstrap interval and the number of images")
    print("for which the score is defined (no interval for fewer than 3).")
    for name in result.classes:
        _print_class(name, result)
    if len(result.classes) > 1:
        total = result.overall
        print(
            f"\nAll classes, pooled: accuracy {total.accuracy:.4f}   MCC {total.mcc:.4f}   mean IoU "
            f"{total.mean_iou:.4f}   mean F1 {total.mean_f1:.4f}"
        )
    _print_images(result)


def _print_class(name: str, result: Evaluation) -> None:
    pooled, means = result.pooled[name], result.mean_per_image[name]
    flat = pooled.flat()
    unit = "µm" if result.unit == "um" else "px"
    tolerance = f"{result.options.tolerance:g} {result.options.tolerance_unit.replace('um', 'µm')}"
    print(f"\n{name:28}{'pooled':>10}{'mean':>10}")
    for group, entries in _GROUPS.items():
        print(f"  {group}")
        for key, text in entries.items():
            label = text.format(unit=unit, tolerance=tolerance)
            print(f"    {label:24}{_number(flat[key]):>10}{_mean(means[key])}")
    _print_counts(pooled, unit)
    print(f"  {'Material, pooled':24}{'truth':>12}{'predicted':>10}{'bias':>10}")
    area = "mm²" if result.unit == "um" else "megapixel"
    for key, (text, factor) in _MATERIAL.items():
        values = getattr(pooled.bias, key)
        relative = "n/a" if math.isnan(values.relative) else f"{values.relative:+.1%}"
        shown = f"{_plain(values.truth * factor):>10}{_plain(values.predicted * factor):>10}"
        print(f"    {text.format(unit=unit, area=area):24}{shown}{relative:>10}")


def _print_counts(pooled: ClassScores, unit: str) -> None:
    objects = pooled.objects
    bias = "n/a" if math.isnan(objects.count_bias) else f"{objects.count_bias:+.1%}"
    print(
        f"    {objects.truth} in the truth, {objects.predicted} predicted ({bias});\n"
        f"    {objects.at_50.tp} found, {objects.at_50.fn} missed, {objects.at_50.fp} false;\n"
        f"    {objects.splits} split into several, {objects.merges} merged from several"
    )
    print(f"  {f'Size (diameter, {unit})':24}{'truth':>12}{'found':>10}{'recall':>10}{'precision':>12}")
    for entry in objects.sizes:
        found = entry.detection
        text = f"{entry.low:g} to {entry.high:g}" if math.isfinite(entry.high) else f"from {entry.low:g}"
        counts = f"{found.tp + found.fn:>10}{found.tp:>10}"
        print(f"    {text:24}{counts}{_number(found.recall):>10}{_number(found.precision):>12}")


def _print_images(result: Evaluation) -> None:
    width = max(12, *(len(r.name) for r in result.images))
    print(f"\n{'image':{width}}  {'class':16}{'IoU':>8}{'F1':>8}{'AP':>8}{'found':>10}{'false':>7}")
    pairs = list(zip(result.images, result.per_image, strict=True))
    for report, classes in pairs[:_MOST_IMAGES]:
        for name, scores in classes.items():
            at, ap = scores.objects.at_50, scores.objects.average_precision
            iou, f1 = scores.pixels.iou, scores.pixels.f1
            note = "" if scores.status == "compared" else f"  {scores.status}"
            print(
                f"{report.name:{width}}  {name:16}{_number(iou):>8}{_number(f1):>8}{_number(ap):>8}"
                f"{f'{at.tp}/{at.tp + at.fn}':>10}{at.fp:>7}{note}"
            )
    if len(pairs) > _MOST_IMAGES:
        print(f"... and {len(pairs) - _MOST_IMAGES} more: see --csv and --json")


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _plain(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4g}"


def _mean(mean: Mean) -> str:
    interval = "" if math.isnan(mean.low) else f"  [{mean.low:.4f}, {mean.high:.4f}]"
    return f"{_number(mean.value):>10}{interval}  n={mean.n}"
