"""All fields of a lot together: pooled figures, their confidence, and the record that is written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement import dispersion, distribution
from napari_micro_ktnet.measurement.fields import NO_PIXEL_SIZE, FieldMeasurement, MeasureOptions
from napari_micro_ktnet.measurement.figures import Part, column, figures, same_scale, unit_of
from napari_micro_ktnet.measurement.limits import Limits
from napari_micro_ktnet.measurement.summary import (
    Confidence,
    FieldScatter,
    MagnificationGroup,
    MeasurementRecord,
    PooledSummary,
    ScatterRecord,
)
from napari_micro_ktnet.measurement.verdict import Verdict, judge

_PACKAGES = ("napari-micro-ktnet", "numpy", "scipy", "scikit-image")
_MAGNIFICATIONS_DIFFER = 1.1
_SHOWN = 5
_HEAVY = 10.0


@dataclass(frozen=True, eq=False)
class Measurement:
    """Objects and figures of one or several fields.

    Attributes
    ----------
    fields : tuple of FieldMeasurement
        In the order given.
    record : MeasurementRecord
        Everything but the tables of objects, as it is written to JSON.
    """

    fields: tuple[FieldMeasurement, ...]
    record: MeasurementRecord

    @property
    def pooled(self) -> PooledSummary:
        """All fields together."""
        return self.record.pooled

    @property
    def verdict(self) -> Verdict | None:
        """Against the limits, where some were given."""
        return self.record.verdict

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the tables of objects, ready for JSON; what is not defined is None."""
        return self.record.model_dump(mode="json")

    def to_csv(self) -> str:
        """Give the objects of all fields as CSV, one row each; empty where something is not defined."""
        return objects_csv(self.fields)


def pool(
    fields: Sequence[FieldMeasurement],
    options: MeasureOptions | None = None,
    limits: Limits | None = None,
    warnings: Sequence[str] = (),
) -> Measurement:
    """Put measured fields together.

    Parameters
    ----------
    fields : sequence of FieldMeasurement
        At least one; fields without objects count as fields.
    options : MeasureOptions, optional
        As they were measured with.
    limits : Limits, optional
        To judge the lot by.
    warnings : sequence of str
        What else a reader must know, such as files that could not be read.

    Raises
    ------
    InputError
        There is no field, or the limits are for another d*.
    """
    options = options or MeasureOptions()
    if not fields:
        raise InputError("There is no field to measure. Give the labels of at least one.")
    pooled = _pooled(fields, options, warnings)
    record = MeasurementRecord(
        parameters={"connectivity": 8, **asdict(options.objects), "d_star_um": options.d_star_um}
        | {"seed": options.seed},
        fields=tuple(f.summary for f in fields),
        pooled=pooled,
        groups=_groups(fields, options),
        verdict=judge(pooled, limits) if limits else None,
        versions={name: version(name) for name in _PACKAGES},
    )
    return Measurement(tuple(fields), record)


def _pooled(
    fields: Sequence[FieldMeasurement], options: MeasureOptions, warnings: Sequence[str] = ()
) -> PooledSummary:
    parts = [Part(f.summary.name, f.table, f.region, f.pixel_size) for f in fields]
    return PooledSummary(
        **figures(parts, options.d_star_um),
        warnings=(*warnings, *_warnings(parts)),
        fields=len(fields),
        scatter=_scatter(fields),
        confidence=_confidence(parts, options.seed),
    )


def _groups(fields: Sequence[FieldMeasurement], options: MeasureOptions) -> tuple[MagnificationGroup, ...]:
    """Fields whose pixel sizes are within 10 % of the smallest among them, from fine to coarse."""
    sizes = {i: math.sqrt(f.pixel_size[0] * f.pixel_size[1]) for i, f in enumerate(fields) if f.pixel_size}
    members: list[list[int]] = []
    for i in sorted(sizes, key=lambda i: sizes[i]):
        if members and sizes[i] <= _MAGNIFICATIONS_DIFFER * sizes[members[-1][0]]:
            members[-1].append(i)
        else:
            members.append([i])
    if unknown := [i for i in range(len(fields)) if i not in sizes]:
        members.append(unknown)
    if len(members) < 2:
        return ()
    return tuple(
        MagnificationGroup(
            pixel_sizes_nm=(sizes[group[0]], sizes[group[-1]]) if group[0] in sizes else None,
            fields=tuple(sorted(group)),
            pooled=_pooled([fields[i] for i in sorted(group)], options),
        )
        for group in members
    )


def objects_csv(fields: Sequence[FieldMeasurement]) -> str:
    """Objects of all fields as CSV, one row each; the first columns name the field and its file."""
    names = list(dict.fromkeys(name for f in fields for name in f.table.columns))
    out = io.StringIO()
    writer = csv.DictWriter(out, ["field", "file", *names], lineterminator="\n")
    writer.writeheader()
    for f in fields:
        own = {"field": f.summary.name, "file": f.summary.file}
        writer.writerows(own | row for row in f.table.rows())
    return out.getvalue()


def _warnings(parts: Sequence[Part]) -> list[str]:
    warnings = []
    unknown = [p.name for p in parts if p.pixel_size is None]
    if len(unknown) == len(parts):
        warnings.append(NO_PIXEL_SIZE)
        if len(parts) > 1:
            warnings.append("Without pixel sizes, only fields of the same magnification may be pooled.")
    elif unknown:
        shown = ", ".join(unknown[:_SHOWN]) + (" and more" if len(unknown) > _SHOWN else "")
        warnings.append(
            f"The pixel size of {len(unknown)} of {len(parts)} fields is not known ({shown}), so that there "
            "are no pooled sizes and densities, and the area fraction counts pixels. Give the pixel size."
        )
    known = [(p.pixel_size[0] * p.pixel_size[1]) ** 0.5 for p in parts if p.pixel_size]
    if known and max(known) > _MAGNIFICATIONS_DIFFER * min(known):
        warnings.append(
            f"Fields of different magnification are pooled (pixels of {min(known):g} to {max(known):g} nm): "
            "small objects are seen in the finer ones only. Look at the groups of one magnification, or set "
            "a least size that all of them show."
        )
    heaviest = float(column(parts, "weight").max(initial=0))
    if heaviest > _HEAVY:
        warnings.append(
            f"An object nearly as large as its field counts {heaviest:.0f} times, to make up for those that "
            "the edge cuts: the figures rest on it. Measure larger fields (a lower magnification)."
        )
    if unit_of(parts) == "um" or same_scale(parts):
        weights = column(parts, "weight")
        ecd = column(parts, f"ecd_{unit_of(parts)}")[weights > 0]
        warnings += distribution.sampling_warnings(ecd, column(parts, "area_px")[weights > 0])
    return warnings


def _scatter(fields: Sequence[FieldMeasurement]) -> FieldScatter:
    shares = [f.summary.area_fraction for f in fields]
    densities = [f.summary.number_density_per_mm2 for f in fields]
    known = [d for d in densities if d is not None]
    return FieldScatter(
        area_fraction=ScatterRecord(**asdict(dispersion.scatter(shares))),
        number_density_per_mm2=(
            ScatterRecord(**asdict(dispersion.scatter(known))) if len(known) == len(densities) else None
        ),
    )


def _confidence(parts: Sequence[Part], seed: int) -> Confidence:
    names, statistics = _statistics(parts)
    limits = distribution.bootstrap_fields(statistics, len(parts), seed)
    if limits is None:
        reason = (
            f"{len(parts)} of the {distribution.FEWEST_FIELDS} fields that confidence limits need at least."
        )
        return Confidence(fields=len(parts), reason=reason, intervals={})
    intervals = {
        name: None if np.isnan(low) else (float(low), float(high))
        for name, low, high in zip(names, *limits, strict=True)
    }
    return Confidence(fields=len(parts), reason="", intervals=intervals)


def _statistics(
    parts: Sequence[Part],
) -> tuple[list[str], Callable[[NDArray[np.int64]], NDArray[np.float64]]]:
    """Names of the figures, and a function from how often each field counts to the figures."""
    unit = unit_of(parts)
    area = np.array([p.area(unit) for p in parts])
    found = np.array([p.table["area_px"].sum() * p.pixel_area(unit) for p in parts])
    weight = np.array([p.table["weight"].sum() for p in parts])
    sized = unit == "um" or same_scale(parts)
    names = ["area_fraction"] + (["number_density_per_mm2"] if unit == "um" else [])
    names += [f"ecd_{unit}.{by}.d{d}" for by in ("number", "area") for d in (10, 50, 90)] if sized else []
    ecd = column(parts, f"ecd_{unit}") if sized else np.zeros(0)
    # Sorted once, every draw finds its percentiles without sorting.
    order = np.argsort(ecd, kind="stable")
    owner = np.repeat(np.arange(len(parts)), [len(p.table) for p in parts])[order] if sized else order
    ecd, each = ecd[order], column(parts, "weight")[order] if sized else ecd

    def statistics(times: NDArray[np.int64]) -> NDArray[np.float64]:
        out = [(times @ found) / (times @ area)]
        if unit == "um":
            out.append((times @ weight) / (times @ area) * 1e6)
        if sized:
            copies = times[owner]
            drawn, counted = np.repeat(ecd, copies), np.repeat(each, copies)
            for weights in (counted, counted * drawn**2):
                out += distribution.percentiles(drawn, weights, is_sorted=True).tolist()
        return np.array(out)

    return names, statistics
