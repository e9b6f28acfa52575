"""Size, shape and place of every object.

An object is the union of its square pixels. Area, convex hull, Feret diameters, solidity, centroid and
orientation are exact for that set; only the perimeter estimates that of the smooth outline behind the pixels.
Everything follows from the runs of pixels in each row, so that thousands of objects take no loop but for
their hulls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.agglomerates import Border
from napari_micro_ktnet.measurement.region import Boxes, border_weights, find_region, touching
from napari_micro_ktnet.measurement.runs import Runs, find_runs

NDFloat = NDArray[np.float64]
_UM_LENGTHS = ("ecd", "feret_max", "feret_min", "perimeter")


@dataclass(frozen=True, eq=False)
class AgglomerateTable:
    """One row for each object, one array for each column.

    Attributes
    ----------
    columns : mapping of str to ndarray, (N,)
        ``object`` (number, from 1), ``label`` (its value in the labels), ``y_px``, ``x_px`` (centroid; the
        centre of the first pixel is 0), ``top``, ``left``, ``bottom``, ``right`` (bounding box, rows
        ``[top, bottom)``), ``area_px``, ``ecd_px``, ``feret_max_px``, ``feret_min_px``, ``perimeter_px``,
        ``aspect_ratio``, ``circularity``, ``solidity``, ``orientation_deg``, ``border`` (touches the edge of
        the analysed region), ``weight`` (see `border_weights`); with a pixel size also ``area_um2``,
        ``y_um``, ``x_um``, ``ecd_um``, ``feret_max_um``, ``feret_min_um``, ``perimeter_um``; with an image
        ``mean_grey``. What is not defined is NaN.
    """

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and tables travel between processes.
        return AgglomerateTable, (dict(self.columns),)

    def __len__(self) -> int:
        return len(self.columns["object"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def rows(self) -> list[dict[str, Any]]:
        """Objects as dictionaries of Python numbers; what is not defined is None."""
        lists = [[None if v != v else v for v in column.tolist()] for column in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True)]


def measure_objects(
    objects: NDArray[np.int32],
    labels: NDArray[Any] | None = None,
    analysed: NDArray[np.bool_] | None = None,
    pixel_size: tuple[float, float] | None = None,
    grey: NDArray[Any] | None = None,
    border: Border = "keep",
) -> AgglomerateTable:
    """Measure numbered objects.

    ==================  =================================================================================
    ECD                 ``sqrt(4 A / pi)``: diameter of the circle of the same area (ISO 9276-6)
    Feret, max and min  largest and smallest distance of two parallel lines that touch the convex hull of the
                        pixels' corners; the smallest lies along an edge of the hull (Toussaint 1983, *Solving
                        geometric problems with the rotating calipers*)
    aspect ratio        Feret min / Feret max, 0..1 (ISO 9276-6)
    perimeter           Cauchy-Crofton with 4 directions (Legland, Kieu & Devaux 2007, Image Anal. Stereol.
                        26, 83-92), for square pixels that of `skimage.measure.perimeter_crofton`
    circularity         ``4 pi A / P^2``; above 1 for objects of a few pixels, where no perimeter is right
    solidity            area / area of the convex hull of the pixels' corners
    orientation         of the longer axis of the ellipse with the same second moments, in degrees from the
                        x axis, counter-clockwise as seen on a screen, 0..180
    ==================  =================================================================================

    Lengths in pixels are in units of the geometric mean of height and width of a pixel.

    Parameters
    ----------
    objects : ndarray of int32, (Y, X)
        From `find_agglomerates`.
    labels : ndarray of int, (Y, X), optional
        Where the column ``label`` comes from; `objects` itself by default.
    analysed : ndarray of bool, (Y, X), optional
        All by default.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``.
    grey : ndarray, (Y, X), optional
        Image for ``mean_grey``.
    border : {"keep", "exclude", "weight"}
        See `border_weights`.

    Raises
    ------
    InputError
        The image has another shape, or the border rule needs a rectangle and the region is none.
    """
    count = int(objects.max())
    height, width = pixel_size or (1.0, 1.0)
    unit = math.sqrt(height * width)
    scale = (height / unit, width / unit)
    runs = find_runs(objects)
    area = runs.sums(runs.length, count)
    box = _boxes(runs, count)
    y, x, orientation = _moments(runs, area, scale, count)
    feret_max, feret_min, hull_area = _hulls(runs, scale, count)
    perimeter = _crofton(objects, area, scale)
    region = find_region(objects.shape, analysed)
    at_border = touching(objects, box, region, analysed)
    columns: dict[str, NDArray[Any]] = {
        "object": np.arange(1, count + 1),
        "label": _labels_of(runs, objects if labels is None else labels, count),
        "y_px": y,
        "x_px": x,
        **dict(zip(("top", "left", "bottom", "right"), box, strict=True)),
        "area_px": area.astype(np.int64),
        "ecd_px": np.sqrt(4 * area / math.pi),
        "feret_max_px": feret_max,
        "feret_min_px": feret_min,
        "perimeter_px": perimeter,
        "aspect_ratio": feret_min / feret_max,
        "circularity": 4 * math.pi * area / perimeter**2,
        "solidity": area / hull_area,
        "orientation_deg": orientation,
        "border": at_border,
        "weight": border_weights(at_border, box, region, border),
    }
    if pixel_size is not None:
        columns |= {
            "area_um2": area * height * width / 1e6,
            "y_um": y * height / 1e3,
            "x_um": x * width / 1e3,
        }
        columns |= {f"{name}_um": columns[f"{name}_px"] * unit / 1e3 for name in _UM_LENGTHS}
    if grey is not None:
        columns["mean_grey"] = _mean_grey(objects, grey, area)
    return AgglomerateTable(columns)


def _boxes(runs: Runs, count: int) -> Boxes:
    if not count:
        return (np.zeros(0, np.int64),) * 4
    begin = runs.bounds(count)
    return (
        runs.row[begin[:-1]],
        np.minimum.reduceat(runs.first, begin[:-1]),
        runs.row[begin[1:] - 1] + 1,
        np.maximum.reduceat(runs.stop, begin[:-1]),
    )


def _labels_of(runs: Runs, labels: NDArray[Any], count: int) -> NDArray[Any]:
    # The first run may be a filled hole, but no object is made of holes alone.
    values = labels[runs.row, runs.first].astype(np.int64)
    out = np.zeros(count + 1, np.int64)
    np.maximum.at(out, runs.number, values)
    return out[1:]


def _moments(
    runs: Runs, area: NDFloat, scale: tuple[float, float], count: int
) -> tuple[NDFloat, NDFloat, NDFloat]:
    """Centroid in pixels and orientation in degrees, from closed sums over each run."""
    length, middle = runs.length.astype(float), (runs.first + runs.stop - 1) / 2
    y = runs.sums(length * runs.row, count) / area
    x = runs.sums(length * middle, count) / area
    dy, dx = runs.row - y[runs.number - 1], middle - x[runs.number - 1]
    # A unit square about its own centre has the second moment 1/12.
    yy = (runs.sums(length * dy**2, count) / area + 1 / 12) * scale[0] ** 2
    xx = runs.sums(length * dx**2 + (length**3 - length) / 12, count) / area + 1 / 12
    xx *= scale[1] ** 2
    xy = runs.sums(length * dy * dx, count) / area * scale[0] * scale[1]
    angle = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
    round_ = np.hypot(xx - yy, 2 * xy) <= 1e-9 * (xx + yy)
    # Rows count downwards, which turns the sense of an angle.
    return y, x, np.where(round_, np.nan, -angle % 180)


def _hulls(runs: Runs, scale: tuple[float, float], count: int) -> tuple[NDFloat, NDFloat, NDFloat]:
    """Largest and smallest Feret diameter, and the area of the convex hull."""
    ys, xs = np.stack([runs.row, runs.row + 1]) * scale[0], np.stack([runs.first, runs.stop]) * scale[1]
    corners = np.stack(np.broadcast_arrays(ys[:, None], xs[None]), axis=-1).reshape(4, -1, 2)
    begin = runs.bounds(count)
    out = np.empty((3, count))
    for i in range(count):
        hull = ConvexHull(corners[:, begin[i] : begin[i + 1]].reshape(-1, 2))
        vertices = hull.points[hull.vertices]
        across = hull.equations[:, :2] @ vertices.T
        gaps = vertices[:, None] - vertices[None]
        out[:, i] = (
            math.sqrt((gaps**2).sum(-1).max()),
            (across.max(1) - across.min(1)).min(),
            hull.volume,
        )
    return out[0], out[1], out[2]


def _crofton(objects: NDArray[np.int32], area: NDFloat, scale: tuple[float, float]) -> NDFloat:
    """Perimeter: ``sum(entries * line spacing * arc)`` over the directions of the pixel grid.

    `entries` counts how often lines enter the object, `arc` is the range of angles that are nearest to the
    direction.
    """
    height, width = scale
    diagonal = math.hypot(height, width)
    tilt = math.atan2(height, width)
    across = height * width / diagonal * math.pi / 4
    directions = {
        (0, 1): height * tilt,
        (1, 0): width * (math.pi / 2 - tilt),
        (1, 1): across,
        (1, -1): across,
    }
    total = np.zeros(len(area))
    for (down, right), factor in directions.items():
        later = objects[down:, max(right, 0) : objects.shape[1] + min(right, 0)]
        before = objects[: objects.shape[0] - down, max(-right, 0) : objects.shape[1] - max(right, 0)]
        same = later[(later == before) & (later > 0)]
        total += factor * (area - np.bincount(same, minlength=len(area) + 1)[1:])
    return total


def _mean_grey(objects: NDArray[np.int32], grey: NDArray[Any], area: NDFloat) -> NDFloat:
    if grey.shape != objects.shape:
        raise InputError(
            f"The image has the shape {grey.shape} and the labels {objects.shape}. "
            "Expected the same (Y, X) for both."
        )
    inside = objects > 0
    total = np.bincount(objects[inside], weights=grey[inside], minlength=len(area) + 1)
    return total[1:] / area
