"""The figures of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from napari_micro_ktnet.measurement import distribution
from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.measurement.summary import FieldSummary, Percentiles, RipleyRecord
from napari_micro_ktnet.report.colors import class_colors
from napari_micro_ktnet.report.numbers import chance
from napari_micro_ktnet.report.svg import FAINT, INK, Axis, Plot, left_margin, top_of
from napari_micro_ktnet.report.trend import Lot

BLUE, RED = "#1f5fbf", "#c0392b"
_CURVE_POINTS = 200
_MOST_CURVES = 8


def unit_of(measurement: Measurement) -> str | None:
    """Give the unit of pooled sizes, ``um`` or ``px``; None where sizes cannot be pooled."""
    pooled = measurement.pooled
    return "um" if pooled.ecd_um else "px" if pooled.ecd_px else None


def shown_unit(unit: str) -> str:
    """Give the unit as people write it."""
    return "\u00b5m" if unit == "um" else unit


def size_histograms(measurement: Measurement) -> tuple[Markup, ...]:
    """Draw sizes by number and by area, with cumulative curves; nothing without objects."""
    unit = unit_of(measurement)
    if unit is None:
        return ()
    columns = [f.table for f in measurement.fields]
    ecd = np.concatenate([t[f"ecd_{unit}"] for t in columns])
    weights = np.concatenate([t["weight"] for t in columns]).astype(float)
    ecd, weights = ecd[weights > 0], weights[weights > 0]
    if not len(ecd):
        return ()
    sizes = measurement.pooled.ecd_um if unit == "um" else measurement.pooled.ecd_px
    assert sizes is not None  # noqa: S101 - unit_of says so
    edges = distribution.log_edges(ecd)
    found = distribution.histogram(ecd, ecd**2, weights, edges)
    colors = _bar_colors(edges, [(c.low, c.high) for c in measurement.pooled.size_classes])
    return (
        _histogram(
            "% of number", edges, found.count / found.count.sum(), ecd, weights, sizes.number, colors, unit
        ),
        _histogram("% of area", edges, found.area_share, ecd, weights * ecd**2, sizes.area, colors, unit),
    )


def _bar_colors(edges: NDArray[np.float64], classes: Sequence[tuple[float, float]]) -> list[str]:
    colors = class_colors(len(classes))
    middles = np.sqrt(edges[:-1] * edges[1:])
    lows = [low for low, _ in classes]
    return [colors[max(int(np.searchsorted(lows, m, side="right")) - 1, 0)] for m in middles]


def _histogram(
    title: str,
    edges: NDArray[np.float64],
    shares: NDArray[np.float64],
    ecd: NDArray[np.float64],
    weights: NDArray[np.float64],
    marks: Percentiles,
    colors: Sequence[str],
    unit: str,
) -> Markup:
    plot = Plot(right=40, top=36)
    x = plot.x_axis(float(edges[0]), float(edges[-1]), log=True)
    y, whole = plot.y_axis(0, top_of((100 * shares).tolist())), plot.y_axis(0, 100)
    plot.draw_y(y, title)
    base = y(0)
    for k, share in enumerate(shares.tolist()):
        plot.bar(x(edges[k]) + 0.5, x(edges[k + 1]) - 0.5, y(100 * share), base, colors[k])
    at, below = distribution.cumulative(ecd, weights)
    points = np.geomspace(edges[0], edges[-1], _CURVE_POINTS)
    curve = 100 * np.interp(points, at, below, left=0, right=1)
    plot.line([(x(p), whole(c)) for p, c in zip(points.tolist(), curve.tolist(), strict=True)], INK, 1.6)
    _percentile_marks(plot, x, marks)
    for value in (0, 25, 50, 75, 100):
        plot.text(plot.width - plot.right + 5, whole(value) + 4, str(value), "start", fill=FAINT)
    plot.text(plot.width - 2, 13, "cumulative %", "end", font_weight="600")
    plot.draw_x(x, f"Equivalent circular diameter (ECD), {shown_unit(unit)}")
    return plot.markup(f"Histogram of sizes, {title}, with cumulative curve")


def _percentile_marks(plot: Plot, x: Axis, marks: Percentiles) -> None:
    last = -1e9
    for name, value in (("D10", marks.d10), ("D50", marks.d50), ("D90", marks.d90)):
        if value is None:
            continue
        place = x(value)
        plot.line([(place, plot.top), (place, plot.height - plot.bottom)], FAINT, 1, "3 3")
        # Labels that would cover each other are left out: the figures are in the table.
        if place - last > 26:
            plot.text(place, plot.top - 5, name, fill=FAINT, font_size=11)
            last = place


def field_scatter(measurement: Measurement) -> tuple[Markup, ...]:
    """Draw area fraction and number density of every field; nothing for a single field."""
    summaries = [f.summary for f in measurement.fields]
    if len(summaries) < 2:
        return ()
    pooled = measurement.pooled
    plots = [_scatter("area %", [100 * s.area_fraction for s in summaries], 100 * pooled.area_fraction)]
    density = [s.number_density_per_mm2 for s in summaries]
    if pooled.number_density_per_mm2 is not None:
        known = [d for d in density if d is not None]
        plots.append(_scatter("agglomerates per mm\u00b2", known, pooled.number_density_per_mm2))
    else:
        counts = [float(s.count) for s in summaries]
        plots.append(_scatter("agglomerates", counts, float(np.mean(counts))))
    return tuple(plots)


def _scatter(title: str, values: list[float], together: float) -> Markup:
    high = top_of(values)
    plot = Plot(height=200, left=left_margin(high))
    x, y = plot.x_axis(0.5, len(values) + 0.5), plot.y_axis(0, high)
    plot.draw_y(y, title)
    plot.line([(x.start, y(together)), (x.stop, y(together))], RED, 1.2, "5 3")
    radius = 3.4 if len(values) <= 60 else 1.8
    for number, value in enumerate(values, 1):
        plot.dot(x(number), y(value), BLUE, radius)
    _draw_numbers(plot, x, len(values))
    plot.text((x.start + x.stop) / 2, plot.height - 5, "field (numbers as in the table of fields)")
    return plot.markup(f"{title} of every field")


def _draw_numbers(plot: Plot, x: Axis, count: int) -> None:
    base = plot.height - plot.bottom
    plot.line([(x.start, base), (x.stop, base)], FAINT, 1)
    every = max(1, -(-count // 12))
    for number in range(1, count + 1):
        if number == 1 or number % every == 0:
            plot.text(x(number), base + 17, str(number), fill=FAINT)


def ripley_curves(summaries: Sequence[FieldSummary]) -> tuple[tuple[Markup, ...], int]:
    """Draw L(r) - r with its envelope for the fields that are least like random points.

    Returns
    -------
    plots : tuple of Markup
        One for each field that is shown.
    count : int
        How many fields have the curve.
    """
    curves = [(number, s.ripley) for number, s in enumerate(summaries, 1) if s.ripley]
    shown = sorted(sorted(curves, key=lambda c: c[1].p)[:_MOST_CURVES])
    return tuple(_ripley(number, curve) for number, curve in shown), len(curves)


def _ripley(number: int, curve: RipleyRecord) -> Markup:
    r = np.array(curve.r)
    low, high, found = (np.array(values) - r for values in (curve.low, curve.high, curve.l))
    plot = Plot(width=260, height=180)
    ends = np.concatenate([low, high, found])
    room = 0.08 * float(np.ptp(ends)) or 1.0
    x, y = plot.x_axis(0, curve.r[-1]), plot.y_axis(float(ends.min()) - room, float(ends.max()) + room)
    plot.draw_y(y, f"field {number}: L(r) \u2212 r, p {chance(curve.p)}")
    places = [x(v) for v in curve.r]
    upper = [(p, y(v)) for p, v in zip(places, high.tolist(), strict=True)]
    lower = [(p, y(v)) for p, v in zip(places, low.tolist(), strict=True)]
    plot.area(upper + lower[::-1], FAINT, 0.25)
    plot.line([(x.start, y(0)), (x.stop, y(0))], FAINT, 1, "3 3")
    plot.line([(p, y(v)) for p, v in zip(places, found.tolist(), strict=True)], BLUE, 1.8)
    plot.draw_x(x, f"r, {shown_unit(curve.unit)}")
    return plot.markup(f"L(r) - r of field {number} with the envelope of random points")


def trend(lots: Sequence[Lot]) -> tuple[Markup, ...]:
    """Draw figures of lots side by side, the present one last; nothing without earlier ones."""
    if len(lots) < 2:
        return ()
    panels = (
        ("area %", "area_fraction", [100 * lot.area_fraction for lot in lots], 100.0),
        (
            "agglomerates per mm\u00b2",
            "number_density_per_mm2",
            [lot.number_density_per_mm2 for lot in lots],
            1.0,
        ),
        ("D50 by number, \u00b5m", "ecd_um.number.d50", [lot.d50("number") for lot in lots], 1.0),
        ("D50 by area, \u00b5m", "ecd_um.area.d50", [lot.d50("area") for lot in lots], 1.0),
    )
    return tuple(
        _trend(title, values, [lot.limits(name, factor) for lot in lots], [lot.name for lot in lots])
        for title, name, values, factor in panels
        if sum(v is not None for v in values) > 1
    )


def _trend(
    title: str,
    values: Sequence[float | None],
    limits: Sequence[tuple[float, float] | None],
    names: Sequence[str],
) -> Markup:
    high = top_of([v for v in values if v is not None] + [pair[1] for pair in limits if pair])
    plot = Plot(height=215, bottom=56, left=left_margin(high))
    x, y = plot.x_axis(0.5, len(values) + 0.5), plot.y_axis(0, high)
    plot.draw_y(y, title)
    known = [(x(n), y(v)) for n, v in enumerate(values, 1) if v is not None]
    plot.line(known, FAINT, 1)
    for number, (value, pair) in enumerate(zip(values, limits, strict=True), 1):
        if value is None:
            continue
        if pair:
            plot.line([(x(number), y(pair[0])), (x(number), y(pair[1]))], FAINT, 1.4)
        last = number == len(values)
        plot.dot(x(number), y(value), RED if last else BLUE, 4 if last else 3.4)
    base = plot.height - plot.bottom
    plot.line([(x.start, base), (x.stop, base)], FAINT, 1)
    every = max(1, -(-len(names) // 8))
    for number, name in enumerate(names, 1):
        if (len(names) - number) % every == 0:
            _tilted(plot, x(number), base + 14, name)
    return plot.markup(f"{title} of {len(values)} lots")


def _tilted(plot: Plot, x: float, y: float, name: str) -> None:
    short = name if len(name) <= 14 else f"{name[:13]}\u2026"
    place = f"rotate(-25 {x:.1f} {y:.1f})"
    plot.text(x, y, short, "end", transform=place, fill=FAINT, font_size=11)
