"""Objects and images of a comparison as columns of a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.gui.metrics.text import number, unit_name
from napari_micro_ktnet.gui.tables import Column, plain
from napari_micro_ktnet.measurement.error_map import COLORS, FALSE, MISSED, RIGHT

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.evaluation import Evaluation

VERDICTS = {
    "missed": "In the truth only.",
    "false": "In the prediction only.",
    "split": "One true object in several predicted ones, none of which is like it.",
    "merged": "Several true objects in one predicted one, which is like none of them.",
    "found": "Matched with an IoU of at least 0.5.",
}
_DOTS = {"found": COLORS[RIGHT], "missed": COLORS[MISSED], "false": COLORS[FALSE]}
_HITS_ONLY = "n/a: only an object that is found has a counterpart to measure it against."


@dataclass(frozen=True, eq=False)
class ObjectRows:
    """Objects of all images, those that are found once, and the others of both sides.

    Attributes
    ----------
    verdict : ndarray of str, (N,)
        One of `VERDICTS`.
    image : ndarray of int, (N,)
        Index of the image.
    boxes : ndarray of float, (N, 4)
        Top, left, bottom, right in pixels, ``[top, bottom)``.
    columns : tuple of Column
        To show.
    """

    verdict: NDArray[np.str_]
    image: NDArray[np.int64]
    boxes: NDArray[np.float64]
    columns: tuple[Column, ...]

    def counts(self) -> dict[str, int]:
        """How many there are of each verdict."""
        return {verdict: int((self.verdict == verdict).sum()) for verdict in VERDICTS}


def object_rows(result: Evaluation) -> ObjectRows:
    """Collect the objects of an evaluation."""
    from napari_micro_ktnet.measurement.class_scores import length_of_pixel
    from napari_micro_ktnet.measurement.objects import HIT, join

    # A predicted object that is found is the true one that it matches.
    tables = [r.objects.select(r.objects.in_truth | (r.objects.verdict != HIT)) for r in result.images]
    table, sizes = join(tables), [len(t) for t in tables]
    scale = np.repeat([length_of_pixel(r, result.unit) for r in result.images], sizes)
    image = np.repeat(np.arange(len(tables)), sizes)
    hit = table.verdict == HIT
    unit, short = unit_name(result), partial(plain, digits=3)
    columns = [Column("verdict", table.verdict, tip="Click a row to go there.", colors=_DOTS)]
    if len(result.images) > 1:
        columns.append(Column("image", np.array([r.name for r in result.images])[image]))
    if len(result.classes) > 1:
        columns.append(Column("class", np.array(result.classes)[table.class_number - 1]))
    columns += [
        Column(
            "in",
            np.where(hit, "T, P", np.where(table.in_truth, "T", "P")),
            tip="In truth (T) or prediction (P).",
        ),
        Column(f"{unit}²", table.area * scale**2, short, "Area of the object; if it is found, in the truth."),
        Column("ECD", table.ecd * scale, short, f"Diameter of the circle of the same area, {unit}."),
        Column("IoU", np.where(hit, table.iou, np.nan), number, "With its counterpart.", _HITS_ONLY),
        Column("HD95", table.hd95 * scale, short, f"Hausdorff distance at 95 %, {unit}.", _HITS_ONLY),
    ]
    boxes = np.stack([table.top, table.left, table.bottom, table.right], axis=1).astype(float)
    return ObjectRows(table.verdict, image, boxes, tuple(columns))


def image_columns(result: Evaluation) -> tuple[Column, ...]:
    """Collect the main scores of every image and class."""
    rows = [
        (report.name, name, scores)
        for report, classes in zip(result.images, result.per_image, strict=True)
        for name, scores in classes.items()
    ]
    at = [scores.objects.at_50 for _, _, scores in rows]

    def column(title: str, values: list[Any], tip: str) -> Column:
        undefined = "n/a: the class is in neither prediction nor truth of this image, or there is no object."
        return Column(title, np.array(values, float), number, tip, undefined)

    columns = [Column("image", np.array([image for image, _, _ in rows]))]
    if len(result.classes) > 1:
        columns.append(Column("class", np.array([name for _, name, _ in rows])))
    columns += [
        column("IoU", [s.pixels.iou for _, _, s in rows], "Of pixels."),
        column("AP", [s.objects.average_precision for _, _, s in rows], "Average precision of objects."),
        Column("true", np.array([d.tp + d.fn for d in at]), tip="Objects in the truth."),
        Column("found", np.array([d.tp for d in at]), tip="Of these, found with an IoU of at least 0.5."),
        Column("false", np.array([d.fp for d in at]), tip="Predicted objects that are not real."),
        column("F1", [s.pixels.f1 for _, _, s in rows], "Of pixels (Dice)."),
    ]
    status = np.array([s.status for _, _, s in rows])
    if (status != "compared").any():
        columns.append(Column("class is", status, tip="Whether the class is on both sides."))
    return tuple(columns)
