"""The figures of fields together, be it one or many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement import dispersion, distribution
from napari_micro_ktnet.measurement.region import Region
from napari_micro_ktnet.measurement.shapes import AgglomerateTable
from napari_micro_ktnet.measurement.summary import (
    AgglomerateDegree,
    ClarkEvansRecord,
    Largest,
    Percentiles,
    SizeClass,
    Sizes,
)

SAME_SCALE = 0.01
"""Pixel sizes and sides of pixels count as equal up to this."""

Unit = Literal["um", "px"]


@dataclass(frozen=True, eq=False)
class Part:
    """What the figures of a field are computed from."""

    name: str
    table: AgglomerateTable
    region: Region
    pixel_size: tuple[float, float] | None

    def area(self, unit: Unit) -> float:
        """Analysed area in um2 or px."""
        return self.region.pixels * self.pixel_area(unit)

    def pixel_area(self, unit: Unit) -> float:
        """Area of a pixel in um2 or px."""
        if unit == "px" or self.pixel_size is None:
            return 1.0
        return self.pixel_size[0] * self.pixel_size[1] / 1e6

    def sides(self) -> tuple[float, float]:
        """Height and width of a pixel, in um or in px."""
        height, width = self.pixel_size or (1e3, 1e3)
        return height / 1e3, width / 1e3

    def frame(self) -> tuple[NDArray[np.float64], float, float]:
        """Centroids from the top left corner of the region, and its height and width; in um, or in px."""
        scale = np.array(self.sides())
        corner = np.array((self.region.top, self.region.left)) - 0.5
        points = (np.column_stack([self.table["y_px"], self.table["x_px"]]) - corner) * scale
        extent = np.array((self.region.bottom, self.region.right)) - 0.5 - corner
        height, width = extent * scale
        return points, float(height), float(width)


def unit_of(parts: Sequence[Part]) -> Unit:
    """Give the unit of what is pooled: um if every pixel size is known."""
    return "um" if all(p.pixel_size for p in parts) else "px"


def same_scale(parts: Sequence[Part]) -> bool:
    """Tell whether sizes in pixels mean the same in all fields."""
    known = [p.pixel_size for p in parts if p.pixel_size]
    if len(known) < len(parts):
        return not known
    return all(abs(a / b - 1) <= SAME_SCALE for size in known for a, b in zip(size, known[0], strict=True))


def column(parts: Sequence[Part], name: str) -> NDArray[np.float64]:
    """One column of all fields."""
    return np.concatenate([p.table[name].astype(float) for p in parts])


def figures(parts: Sequence[Part], d_star_um: float) -> dict[str, Any]:
    """Everything in `Summary` but the warnings, for fields together."""
    unit = unit_of(parts)
    area = sum(p.area(unit) for p in parts)
    weights = column(parts, "weight")
    found = sum(p.table["area_px"].sum() * p.pixel_area(unit) for p in parts)
    known, comparable = unit == "um", same_scale(parts)
    near = [dispersion.neighbour_distance(*p.frame()) for p in parts if p.region.is_rectangle]
    ratio = dispersion.clark_evans([n for n in near if n is not None])
    return {
        "count": int(np.count_nonzero(weights)),
        "border_count": int(column(parts, "border").sum()),
        "area_fraction": float(found / area),
        "number_density_per_mm2": float(weights.sum() / area * 1e6) if known else None,
        "analysed_px": sum(p.region.pixels for p in parts),
        "analysed_mm2": area / 1e6 if known else None,
        "ecd_um": sizes(column(parts, "ecd_um"), weights) if known else None,
        "ecd_px": sizes(column(parts, "ecd_px"), weights) if comparable else None,
        "agglomerate_degree": _degree(parts, d_star_um, area) if known else None,
        "clark_evans": ClarkEvansRecord(r=ratio.r, p=ratio.p, n=ratio.n),
        "largest": _largest(parts),
        "size_classes": _size_classes(parts, unit, area) if known or comparable else (),
    }


def sizes(ecd: NDArray[np.float64], weights: NDArray[np.float64]) -> Sizes:
    """Distribution by number and by area.

    Parameters
    ----------
    ecd, weights : ndarray of float, (N,)
        Diameters, and how much each object counts.
    """
    largest = float(ecd[weights > 0].max()) if np.any(weights > 0) else None
    return Sizes(number=_percentiles(ecd, weights), area=_percentiles(ecd, weights * ecd**2), max=largest)


def _percentiles(ecd: NDArray[np.float64], weights: NDArray[np.float64]) -> Percentiles:
    d10, d50, d90 = distribution.percentiles(ecd, weights).tolist()
    if math.isnan(d50):
        return Percentiles(d10=None, d50=None, d90=None, span=None)
    return Percentiles(d10=d10, d50=d50, d90=d90, span=(d90 - d10) / d50)


def _degree(parts: Sequence[Part], d_star_um: float, area_um2: float) -> AgglomerateDegree:
    ecd, weights = column(parts, "ecd_um"), column(parts, "weight")
    count = float(weights[ecd > d_star_um].sum())
    share = dispersion.share_above(ecd, weights * ecd**2, d_star_um)
    return AgglomerateDegree(
        d_star_um=d_star_um, area_share=share, count=count, count_per_mm2=count / area_um2 * 1e6
    )


def _largest(parts: Sequence[Part]) -> Largest | None:
    filled = [p for p in parts if len(p.table)]
    if not filled:
        return None
    # Pixels of an unknown size cannot be compared with micrometres.
    known = [p for p in filled if p.pixel_size is not None]
    unit: Unit = "um" if known else "px"
    part = max(known or filled, key=lambda p: p.table["area_px"].max() * p.pixel_area(unit))
    row = int(part.table["area_px"].argmax())
    return Largest(
        field=part.name,
        object=int(part.table["object"][row]),
        ecd_um=float(part.table["ecd_um"][row]) if known else None,
        feret_max_um=float(part.table["feret_max_um"][row]) if known else None,
        ecd_px=float(part.table["ecd_px"][row]),
        at_border=bool(part.table["border"][row]),
    )


def _size_classes(parts: Sequence[Part], unit: Unit, area: float) -> tuple[SizeClass, ...]:
    ecd, weights = column(parts, f"ecd_{unit}"), column(parts, "weight")
    ecd, weights = ecd[weights > 0], weights[weights > 0]
    areas = math.pi / 4 * ecd**2
    edges = distribution.size_edges(ecd)
    found = distribution.histogram(ecd, areas, weights, edges)
    share = float((weights * areas).sum()) / area
    counts, shares = (100 * np.cumsum(c) / max(c.sum(), 1e-300) for c in (found.count, found.area_share))
    return tuple(
        SizeClass(
            low=float(edges[k]),
            high=float(edges[k + 1]),
            count=float(found.count[k]),
            count_per_mm2=float(found.count[k] / area * 1e6) if unit == "um" else None,
            area_percent=float(100 * share * found.area_share[k]),
            cumulative_count_percent=float(counts[k]),
            cumulative_area_percent=float(shares[k]),
        )
        for k in range(len(found.count))
    )
