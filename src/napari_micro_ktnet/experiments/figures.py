"""Figures of an experiment, drawn by matplotlib (an extra that nothing else needs)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from napari_micro_ktnet.experiments.config import SWEEPS, ExperimentConfig
from napari_micro_ktnet.experiments.data import ExperimentImages
from napari_micro_ktnet.experiments.entries import Entry
from napari_micro_ktnet.experiments.jobs import LABELS_FOLDER, Job
from napari_micro_ktnet.experiments.overlays import draw_overlays
from napari_micro_ktnet.experiments.reports import Row
from napari_micro_ktnet.experiments.table import Outcome
from napari_micro_ktnet.files import replacing

_DPI = 160
_MOST_CURVES = 12
# Its number would not fit inside.
_SHORT_BAR = 0.12
# Okabe and Ito 2008, told apart by colour-blind readers too; then the same with broken lines.
_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#999999")
_LINES = ("-", "--", ":")
_REFERENCE = "#000000"
_IOU, _F1 = "#0072B2", "#E69F00"


@dataclass(frozen=True, eq=False)
class Drawable:
    """An entry that is done.

    Attributes
    ----------
    entry : Entry
        What it is.
    row : dict
        Its row in the table.
    jobs : sequence of Job
        Its trainings.
    """

    entry: Entry
    row: Row
    jobs: Sequence[Job]


def draw_figures(
    folder: Path,
    config: ExperimentConfig,
    done: Sequence[Drawable],
    outcome: Outcome,
    images: ExperimentImages,
) -> tuple[Path, ...]:
    """Draw the figures of a table.

    Parameters
    ----------
    folder : Path
        Where they go.
    config : ExperimentConfig
        Which table.
    done : sequence of Drawable
        The entries that have scores; without any, nothing is drawn.
    outcome : mapping of str to JobResult
        With the curves.
    images : ExperimentImages
        For the overlays; an entry whose label files were deleted is left out there.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    if not done:
        return ()
    wanted: dict[str, Callable[[], Figure]] = {
        "curves.png": lambda: curves(done, outcome),
    }
    pictured = [(d.entry.label, d.jobs) for d in _best(done) if _has_labels(d.jobs)]
    if pictured:
        wanted["overlays.png"] = lambda: draw_overlays(pictured, images.test or images.pairs)
    if config.table in SWEEPS:
        wanted["sweep.png"] = lambda: sweep(done, config.table)
    else:
        wanted["bars.png"] = lambda: bars(done)
    paths = []
    for name, draw in wanted.items():
        with replacing(folder / name) as temporary:
            draw().savefig(temporary, format="png", dpi=_DPI, bbox_inches="tight")
        paths.append(folder / name)
    return tuple(paths)


def curves(done: Sequence[Drawable], outcome: Outcome) -> Figure:
    """F1 of the scored images against the step, mean over folds and seeds."""
    shown = _best(done)
    figure, axes = _figure(7.0, 4.2)
    others = 0
    for each in shown:
        points = mean_curve(each.jobs, outcome)
        color, line, width = _REFERENCE, "-", 2.2
        if not each.entry.reference:
            color, line, width = _COLORS[others % len(_COLORS)], _LINES[others // len(_COLORS) % 3], 1.4
            others += 1
        axes.plot(
            *points,
            color=color,
            linestyle=line,
            linewidth=width,
            marker="o",
            markersize=3,
            label=each.entry.label,
        )
    axes.set(xlabel="training step", ylabel="F1, pooled in each fold", ylim=(0, 1), xlim=(0, None))
    if len(shown) < len(done):
        axes.set_title(f"the best {len(shown)} of {len(done)}", fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def mean_curve(jobs: Sequence[Job], outcome: Outcome) -> tuple[list[int], list[float]]:
    """Give the steps, and the mean F1 over trainings at each of them."""
    values: dict[int, list[float]] = {}
    for job in jobs:
        for point in outcome[job.spec.key].curve:
            values.setdefault(point.step, []).append(point.f1)
    return sorted(values), [float(np.mean(values[step])) for step in sorted(values)]


def bars(done: Sequence[Drawable]) -> Figure:
    """Pooled IoU and F1 of every entry, with intervals over images."""
    figure, axes = _figure(7.0, 0.9 + 0.42 * len(done))
    y = np.arange(len(done), dtype=float)
    for name, label, color, shift in (("f1", "F1", _F1, 0.2), ("iou", "IoU", _IOU, -0.2)):
        values, errors = _with_errors(done, name)
        axes.barh(y + shift, values, 0.38, color=color, label=f"{label}, pooled")
        axes.errorbar(values, y + shift, xerr=errors, fmt="none", ecolor="#333333", elinewidth=0.9, capsize=2)
        for value, above, where in zip(values, errors[1], y + shift, strict=True):
            inside = value >= _SHORT_BAR
            place, ink = (0.01, "white") if inside else (value + above + 0.01, "#333333")
            axes.text(place, where, f"{value:.3f}", va="center", fontsize=7, color=ink, weight="bold")
    axes.set_yticks(y, [d.entry.label for d in done])
    for text, each in zip(axes.get_yticklabels(), done, strict=True):
        text.set_fontweight("bold" if each.entry.reference else "normal")
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="score, with the 95 % interval over images")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, reverse=True)
    return figure


def sweep(done: Sequence[Drawable], table: str) -> Figure:
    """Scores against the number that was varied, with intervals over images."""
    figure, axes = _figure(5.6, 3.8)
    x = np.array([d.entry.value or 0 for d in done], float)
    named = (("f1", "F1, pooled", _F1, 1.0), ("iou", "IoU, pooled", _IOU, 0.97))
    for name, label, color, shift in (*named, ("iou_mean", "IoU, mean over images", "#009E73", 1.03)):
        values, errors = _with_errors(done, name)
        # Moved a little, so that the intervals do not cover each other.
        axes.errorbar(
            x * shift, values, yerr=errors, color=color, marker="o", markersize=4, capsize=3, label=label
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    what = "crops in a batch" if table == "batch-size" else "training images"
    axes.set(xlabel=what, ylabel="score", ylim=(0, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def _with_errors(done: Sequence[Drawable], name: str) -> tuple[list[float], list[list[float]]]:
    """Values, and how far the limits are below and above; 0 where there are none."""
    values = [float(d.row[name]) for d in done]
    limits = [(d.row[f"{name}_low"], d.row[f"{name}_high"]) for d in done]
    below, above = (
        [
            max(0.0, float(np.nan_to_num(sign * (pair[side] - v))))
            for v, pair in zip(values, limits, strict=True)
        ]
        for side, sign in ((0, -1), (1, 1))
    )
    return values, [below, above]


def _has_labels(jobs: Sequence[Job]) -> bool:
    return all((job.folder / LABELS_FOLDER).is_dir() for job in jobs)


def _best(done: Sequence[Drawable]) -> list[Drawable]:
    """Give as many entries as can be told apart, in their order; the reference is one of them."""
    ranked = sorted(done, key=lambda d: (not d.entry.reference, -d.row["f1"]))
    kept = {d.entry.name for d in ranked[:_MOST_CURVES]}
    return [d for d in done if d.entry.name in kept]


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes
