"""One run of the Segment widget, apart from layers and Qt: what is asked, tiles, what comes back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.gui.layers import polygons_mask
from napari_micro_ktnet.gui.torch_guard import import_prediction
from napari_micro_ktnet.sem import DataBar, SEMImage, find_data_bar

if TYPE_CHECKING:
    from napari_micro_ktnet.predict.result import Segmentation
    from napari_micro_ktnet.predict.runner import TileReport

Box = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Request:
    """What a user asks for by pressing Run.

    Attributes
    ----------
    pixels : array-like
        ``(Y, X)``, ``(Z, Y, X)`` or ``(Y, X, 3 | 4)``; numpy, dask, zarr. Only `box` of it is read.
    rgb : bool
        The last axis is colour.
    name : str
        Of the image, for messages.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    data_bar : DataBar or None
        The data bar, where the image's file said so.
    search_bar : bool
        Nothing is known about a data bar: look for one.
    box : tuple of slice
        Rows and columns to look at.
    polygons : tuple of ndarray, (N, 2)
        Outlines of regions in rows and columns of the whole image; none = everywhere.
    exclude : bool
        Look outside of the polygons rather than inside.
    model : str
        Name or path.
    match_pixel_size : bool
        Bring the image to the model's pixel size.
    options : mapping
        Fields of `PredictOptions`.
    """

    pixels: Any
    rgb: bool = False
    name: str = ""
    pixel_size: tuple[float, float] | None = None
    data_bar: DataBar | None = None
    search_bar: bool = False
    box: Box = (slice(None), slice(None))
    polygons: tuple[NDArray[np.float64], ...] = ()
    exclude: bool = False
    model: str = "starter"
    match_pixel_size: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TileDone:
    """One tile is done.

    Attributes
    ----------
    done, total : int
        Tiles done and planned; 0 of 0 before the first, while the model is loaded.
    where : tuple
        Index of the tile in the whole image: ``(rows, columns)``, with Z before for a stack.
    probability : ndarray of float32, (C, Y, X), or None
        A copy of the tile's probabilities; None where the tiles do not lie on the image's grid.
    analysed : ndarray of bool, (Y, X), or None
        Where in the tile labels may be.
    """

    done: int
    total: int
    where: tuple[int | slice, ...] = ()
    probability: NDArray[np.float32] | None = None
    analysed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run.

    Attributes
    ----------
    segmentation : Segmentation
        Of the pixels in `box`.
    box : tuple of slice
        Rows and columns of the whole image.
    bar_rows : int
        Rows of `box` that were left out as data bar.
    """

    segmentation: Segmentation
    box: Box
    bar_rows: int


def run_request(request: Request) -> Generator[TileDone, None, RunResult]:
    """Segment what a request asks for; yields once before torch is imported, then after every tile.

    Raises
    ------
    MicroKTNetError
        As `napari_micro_ktnet.segment` does.
    """
    yield TileDone(0, 0)
    iter_segment = import_prediction()
    spatial = request.pixels.shape[:2] if request.rgb else request.pixels.shape[-2:]
    rows, columns = (slice(*s.indices(n)[:2]) for s, n in zip(request.box, spatial, strict=True))
    crop = np.asarray(request.pixels[rows, columns] if request.rgb else request.pixels[..., rows, columns])
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    region = _region(request, (rows.start, columns.start), shape)
    bar_top = min(max(_bar_top(request, spatial[0]) - rows.start, 0), shape[0])
    region[bar_top:] = False
    steps = iter_segment(
        SEMImage(crop, request.pixel_size, rgb=request.rgb, name=request.name),
        request.model,
        region=region,
        match_pixel_size=request.match_pixel_size,
        **request.options,
    )
    stack = crop.ndim == 3 and not request.rgb
    try:
        while True:
            report = next(steps)
            tile = TileDone(report.done, report.total)
            if not request.match_pixel_size:
                tile = _tile(report, region, (rows.start, columns.start), stack)
            yield tile
    except StopIteration as stop:
        bar_rows = shape[0] - bar_top
        segmentation = replace(stop.value, parameters=stop.value.parameters | _record(request))
        return RunResult(segmentation, (rows, columns), bar_rows)
    finally:
        steps.close()


def _bar_top(request: Request, height: int) -> int:
    if request.data_bar is not None:
        return request.data_bar.top
    if not request.search_bar:
        return height
    bar = find_data_bar(request.pixels[..., 1] if request.rgb else request.pixels)
    return height if bar is None else bar.top


def _region(request: Request, origin: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    if not request.polygons:
        return np.ones(shape, bool)
    mask = polygons_mask([points - origin for points in request.polygons], shape)
    return ~mask if request.exclude else mask


def _tile(report: TileReport, region: NDArray[np.bool_], origin: tuple[int, int], stack: bool) -> TileDone:
    here = (report.rows, report.columns)
    rows, columns = (slice(s.start + o, s.stop + o) for s, o in zip(here, origin, strict=True))
    where = (report.slice_index, rows, columns) if stack else (rows, columns)
    # The core goes on adding to this array while the main thread draws: a copy, and only of the tile.
    part = report.probability[(slice(None), *here)].copy()
    return TileDone(report.done, report.total, where, part, region[here])


def _record(request: Request) -> dict[str, Any]:
    return {"regions": len(request.polygons), "regions_excluded": request.exclude}
