"""Objects, size classes and fields of a measurement as columns of tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.gui.agglomerates.layers import NOT_COUNTED, WHOLE_COLOR, class_of, size_colors
from napari_micro_ktnet.gui.agglomerates.text import class_texts, unit_of
from napari_micro_ktnet.gui.tables import Column, plain

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.pooled import Measurement

_SHAPES = {
    "aspect_ratio": ("AR", "Aspect ratio: Feret min / Feret max."),
    "circularity": ("circ.", "Circularity: 4 pi area / perimeter², Crofton perimeter."),
    "solidity": ("solid.", "Solidity: area / area of the convex hull."),
    "orientation_deg": ("angle", "Of the longer axis, degrees from the x axis, counter-clockwise."),
}
_short = partial(plain, digits=3)
_UNKNOWN = "n/a: the pixel size is not known."


@dataclass(frozen=True, eq=False)
class ObjectRows:
    """Objects of all fields, the largest first.

    Attributes
    ----------
    field : ndarray of int, (N,)
        Index of the field.
    number : ndarray of int, (N,)
        Number of the object in its field, from 1.
    boxes : ndarray of float, (N, 4)
        Top, left, bottom, right in pixels, ``[top, bottom)``.
    ecd : ndarray of float, (N,)
        Diameters in `unit`, NaN where a field has no pixel size and others have one.
    weight : ndarray of float, (N,)
        How much each counts.
    size_class : ndarray of int, (N,)
        Index of the size class, -1 for objects that do not count.
    unit : str
        µm or px.
    columns : tuple of Column
        To show.
    """

    field: NDArray[np.int64]
    number: NDArray[np.int64]
    boxes: NDArray[np.float64]
    ecd: NDArray[np.float64]
    weight: NDArray[np.float64]
    size_class: NDArray[np.int64]
    unit: str
    columns: tuple[Column, ...]


def object_rows(measurement: Measurement) -> ObjectRows:
    """Collect the objects of all fields."""
    pooled = measurement.pooled
    unit = unit_of(pooled)
    ending = "um" if unit == "µm" else "px"
    tables = [f.table for f in measurement.fields]

    def values(name: str) -> NDArray[Any]:
        # A field without pixel size has no micrometres.
        return np.concatenate([t[name] if name in t.columns else np.full(len(t), np.nan) for t in tables])

    field = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
    ecd = values(f"ecd_{ending}")
    order = np.argsort(-ecd, kind="stable")
    classes = class_of(ecd, values("weight"), pooled.size_classes)
    texts = class_texts(pooled.size_classes)
    colors = dict(zip([*texts, NOT_COUNTED], [*size_colors(len(texts)), WHOLE_COLOR], strict=True))
    counts = values("weight") > 0
    columns = [
        Column(
            unit,
            np.array([*texts, NOT_COUNTED])[classes],
            tip="Size class.",
            colors=colors,
        ),
        Column("ECD", ecd, _short, f"Diameter of the circle of the same area, {unit}.", _UNKNOWN),
    ]
    if len(tables) > 1:
        names = np.array([f.summary.name for f in measurement.fields])
        columns.append(Column("field", names[field]))
    columns += [
        Column("no.", values("object"), tip="Number in its field, as in the layer."),
        Column(f"{unit}²", values("area_um2" if ending == "um" else "area_px"), _short, "Area.", _UNKNOWN),
        Column("Feret", values(f"feret_max_{ending}"), _short, f"Largest Feret diameter, {unit}.", _UNKNOWN),
        *(Column(title, values(name), _short, tip) for name, (title, tip) in _SHAPES.items()),
        Column("edge", np.where(values("border"), "yes", ""), tip="Touches the edge of what is analysed."),
    ]
    if all("mean_grey" in t.columns for t in tables):
        columns.append(Column("grey", values("mean_grey"), _short, "Mean grey value."))
    if not counts.all():
        columns.append(Column("weight", values("weight"), _short, "How much it counts under the edge rule."))
    boxes = np.stack([values(n) for n in ("top", "left", "bottom", "right")], axis=1).astype(float)
    return ObjectRows(
        field[order],
        values("object")[order],
        boxes[order],
        ecd[order],
        values("weight")[order],
        classes[order],
        unit,
        tuple(_ordered(c, order) for c in columns),
    )


def class_columns(measurement: Measurement) -> tuple[Column, ...]:
    """Give the size-class table."""
    pooled = measurement.pooled
    classes = pooled.size_classes
    texts = class_texts(classes)
    colors = dict(zip(texts, size_colors(len(texts)), strict=True))
    density = np.array([np.nan if c.count_per_mm2 is None else c.count_per_mm2 for c in classes])
    return (
        Column(unit_of(pooled), np.array(texts), tip="Low <= diameter < high.", colors=colors),
        Column("count", np.array([c.count for c in classes]), _short, "Objects, by their weight."),
        Column("per mm²", density, _short, "Objects per mm² of what is analysed.", _UNKNOWN),
        Column("area %", np.array([c.area_percent for c in classes]), _short, "Of what is analysed."),
        Column("cum. n", _cumulative(classes, "count"), _percent, "Cumulative share of all objects, %."),
        Column("cum. A", _cumulative(classes, "area"), _percent, "Cumulative share of their area, %."),
    )


def field_columns(measurement: Measurement) -> tuple[Column, ...]:
    """Collect the main figures of every field."""
    found = [f.summary for f in measurement.fields]
    unit = "µm" if any(s.ecd_um for s in found) else "px"
    sizes = [s.ecd_um if unit == "µm" else s.ecd_px for s in found]

    def column(title: str, values: list[float | None], tip: str) -> Column:
        numbers = np.array([np.nan if v is None else v for v in values], float)
        return Column(title, numbers, _short, tip, "n/a: no object, or no pixel size.")

    return (
        Column("field", np.array([s.name for s in found])),
        Column("n", np.array([s.count for s in found]), tip="Objects that count."),
        column("area %", [100 * s.area_fraction for s in found], "Of what is analysed."),
        column("per mm²", [s.number_density_per_mm2 for s in found], "Objects per mm²."),
        column("D50", [s.number.d50 if s else None for s in sizes], f"By number, {unit}."),
        column("max", [s.max if s else None for s in sizes], f"Largest of those that count, {unit}."),
        column("R", [s.clark_evans.r for s in found], "Clark-Evans ratio."),
    )


def _cumulative(classes: tuple[Any, ...], of: str) -> NDArray[np.float64]:
    return np.array([getattr(c, f"cumulative_{of}_percent") for c in classes])


def _percent(value: float) -> str:
    return f"{value:.1f}"


def _ordered(column: Column, order: NDArray[np.intp]) -> Column:
    return Column(column.title, column.values[order], column.text, column.tip, column.missing, column.colors)
