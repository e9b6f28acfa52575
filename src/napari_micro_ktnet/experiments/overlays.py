"""Panels of the paper's kind: agglomerates by size, and what each entry made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from napari_micro_ktnet.batch.overlay import error_overlay
from napari_micro_ktnet.experiments.jobs import LABELS_FOLDER, Job
from napari_micro_ktnet.measurement.error_map import COLORS, FALSE, MISSED, OTHER, RIGHT, error_map
from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

_COLUMNS = 6
_LEAST_SIDE, _MARGIN = 64, 2.2
_NAMES = {RIGHT: "found", MISSED: "missed", FALSE: "false", OTHER: "wrong class"}
_PANEL_INCHES = 1.25
# True negatives are blue in the paper's overlays.
_MATRIX, _MATRIX_FILL = "#1432be", 0.4


@dataclass(frozen=True, eq=False)
class Window:
    """A square around an agglomerate.

    Attributes
    ----------
    pair : ImagePair
        Its image.
    rows, columns : slice
        Where it lies.
    ecd : float
        Diameter in pixels of the circle of the agglomerate's area.
    """

    pair: ImagePair
    rows: slice
    columns: slice
    ecd: float

    @property
    def title(self) -> str:
        """Diameter, in um where the pixel size is known."""
        if self.pair.pixel_size is None:
            return f"{self.ecd:.0f} px"
        side = float(np.sqrt(self.pair.pixel_size[0] * self.pair.pixel_size[1]))
        return f"{self.ecd * side / 1000:.2g} µm"


def draw_overlays(entries: Sequence[tuple[str, Sequence[Job]]], pairs: Sequence[ImagePair]) -> Figure:
    """Draw one row for each entry and one column for each agglomerate, small ones first.

    Parameters
    ----------
    entries : sequence of (str, sequence of Job)
        Labels, and jobs that are done; the first seed is shown.
    pairs : sequence of ImagePair
        The scored images.
    """
    windows = choose_windows(pairs)
    rows, columns = len(entries) + 1, max(1, len(windows))
    height = _PANEL_INCHES * rows + 0.5
    figure = Figure(figsize=(_PANEL_INCHES * columns + 1.2, height))
    spaces = {"wspace": 0.04, "hspace": 0.04, "bottom": 0.3 / height, "top": 1 - 0.2 / height}
    panels = figure.subplots(rows, columns, squeeze=False, gridspec_kw=spaces)
    for column, window in enumerate(windows):
        pixels = window.pair.pixels[window.rows, window.columns]
        truth = window.pair.mask[window.rows, window.columns]
        panels[0, column].set_title(window.title, fontsize=8)
        _show(panels[0, column], error_overlay(pixels, np.zeros(pixels.shape, np.uint8)))
        for row, (_, jobs) in enumerate(entries, 1):
            found = _labels(jobs, window.pair)[window.rows, window.columns]
            ignored = truth == IGNORE
            errors = error_map(found, np.where(ignored, 0, truth), ignored)
            matrix = (errors == 0) & ~ignored
            _show(panels[row, column], _tinted(error_overlay(pixels, errors), matrix))
    for row, label in enumerate(["image", *(label for label, _ in entries)]):
        panels[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    several = any(int(p.mask[p.mask != IGNORE].max(initial=0)) > 1 for p in pairs)
    handles = [Patch(color=COLORS[v], label=n) for v, n in _NAMES.items() if v != OTHER or several]
    handles.append(Patch(color=_MATRIX, label="matrix"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    return figure


def choose_windows(pairs: Sequence[ImagePair], count: int = _COLUMNS) -> list[Window]:
    """Choose agglomerates of the truth whose areas are spread evenly on a log scale, smallest first."""
    found: list[tuple[float, int, tuple[slice, slice]]] = []
    for index, pair in enumerate(pairs):
        inside = (pair.mask > 0) & (pair.mask != IGNORE)
        objects, _ = ndimage.label(inside, np.ones((3, 3)))
        areas = np.bincount(objects.ravel())[1:]
        boxes = ndimage.find_objects(objects)
        found += [(float(a), index, box) for a, box in zip(areas, boxes, strict=True)]
    found.sort(key=lambda f: f[:2])
    if not found:
        return []
    areas = np.array([f[0] for f in found])
    # The smallest tenth is mostly specks of the annotation.
    targets = np.geomspace(np.percentile(areas, 10), areas[-1], count)
    chosen = dict.fromkeys(int(np.abs(np.log(areas / target)).argmin()) for target in targets)
    return [_window(pairs[found[i][1]], found[i][2], found[i][0]) for i in sorted(chosen)]


def _window(pair: ImagePair, box: tuple[slice, slice], area: float) -> Window:
    extent = max(s.stop - s.start for s in box)
    side = min(int(max(_LEAST_SIDE, _MARGIN * extent)), *pair.mask.shape)
    rows, columns = (
        _span((s.start + s.stop) // 2, side, length) for s, length in zip(box, pair.mask.shape, strict=True)
    )
    return Window(pair, rows, columns, float(np.sqrt(4 * area / np.pi)))


def _span(centre: int, side: int, length: int) -> slice:
    start = min(max(centre - side // 2, 0), length - side)
    return slice(start, start + side)


def _labels(jobs: Sequence[Job], pair: ImagePair) -> NDArray[np.generic]:
    job = next(j for j in jobs if pair.name in {i.name for i in j.spec.scored_images})
    return read_sem(job.folder / LABELS_FOLDER / f"{Path(pair.name).stem}.tif").pixels


def _tinted(picture: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    out = picture.astype(float)
    out[where] = (1 - _MATRIX_FILL) * out[where] + _MATRIX_FILL * 255 * np.array(to_rgb(_MATRIX))
    return out.astype(np.uint8)


def _show(axes: Axes, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
