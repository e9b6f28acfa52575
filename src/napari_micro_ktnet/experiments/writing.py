"""Tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

from napari_micro_ktnet.experiments.reports import Row
from napari_micro_ktnet.experiments.table import COLUMNS

_CLASS = "iou_class_"
_DASH = "\u2013"
_TEX = str.maketrans(
    {c: rf"\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "→": r"$\rightarrow$", _DASH: "--"}
)


def _share(name: str) -> Callable[[Row], str]:
    return lambda row: _number(row.get(name), "{:.3f}")


def _with_limits(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value, limits = row[name], [row[f"{name}_low"], row[f"{name}_high"]]
        if _missing(value):
            return _DASH
        shown = f"{value:.3f}"
        return shown if any(map(_missing, limits)) else f"{shown} ({limits[0]:.3f} to {limits[1]:.3f})"

    return text


def _scaled(name: str, factor: float, form: str) -> Callable[[Row], str]:
    return lambda row: _number(None if _missing(row[name]) else row[name] / factor, form)


def _seeds(row: Row) -> str:
    lowest, highest = row["iou_seed_lowest"], row["iou_seed_highest"]
    return _DASH if _missing(lowest) else f"{lowest:.3f} to {highest:.3f}"


# What fits on a page: heading and text of a row.
_Shown = dict[str, Callable[[Row], str]]
_FIRST: _Shown = {"IoU": _with_limits("iou")}
_OTHERS: _Shown = {
    "mean IoU": _with_limits("iou_mean"),
    "F1": _share("f1"),
    "precision": _share("precision"),
    "recall": _share("recall"),
    "difference": _with_limits("difference"),
    "p": _share("p_value"),
    "p (Holm)": _share("p_holm"),
    "parameters / M": _scaled("parameters", 1e6, "{:.1f}"),
    "GFLOP": _scaled("flops", 1e9, "{:.1f}"),
    "s / image": _scaled("seconds_per_image", 1, "{:.2f}"),
    "memory / GB": _scaled("memory_mb", 1e3, "{:.2f}"),
}


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row with every column; what is not defined is empty."""
    # Several classes have a column each.
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    text = StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if _missing(v) else v for k, v in row.items()} for row in rows)
    return text.getvalue()


def to_markdown(rows: Sequence[Row], labels: Mapping[str, str], notes: Sequence[str]) -> str:
    """Give the columns that fit on a page, and how they came about.

    Parameters
    ----------
    rows : sequence of dict
        The table.
    labels : mapping of str to str
        What papers call the entries, by name.
    notes : sequence of str
        The protocol, one sentence each.
    """
    shown = _shown(rows)
    header = ["", "status", *shown]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        label = labels[row["entry"]]
        lines.append([f"**{label}**" if row["reference"] else label, row["status"], *_cells(row, shown)])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    reasons = [f"- {labels[r['entry']]}: {r['status']}. {r['reason']}" for r in rows if r["reason"]]
    parts = [text, *([f"Not done:\n\n{chr(10).join(reasons)}"] if reasons else []), " ".join(notes)]
    return "\n\n".join(parts) + "\n"


def to_latex(rows: Sequence[Row], labels: Mapping[str, str]) -> str:
    """Give the same as a ``tabular`` for the package booktabs; an entry that is not done says so."""
    shown = _shown(rows)
    lines = [r"\begin{tabular}{l" + "r" * len(shown) + "}", r"\toprule"]
    lines += [" & ".join(["", *map(_escaped, shown)]) + r" \\", r"\midrule"]
    for row in rows:
        label = _escaped(labels[row["entry"]])
        label = rf"\textbf{{{label}}}" if row["reference"] else label
        if row["status"] == "done":
            lines.append(" & ".join([label, *map(_escaped, _cells(row, shown))]) + r" \\")
        else:
            lines.append(rf"{label} & \multicolumn{{{len(shown)}}}{{l}}{{{row['status']}}} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _shown(rows: Sequence[Row]) -> _Shown:
    """Give the columns of this table: seeds where there are several, a class each where there are several."""
    seeds: _Shown = {"IoU of the seeds": _seeds} if any(row["seeds"] > 1 for row in rows) else {}
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(_CLASS))
    classes = {f"IoU {name.removeprefix(_CLASS)}": _share(name) for name in names}
    return _FIRST | seeds | classes | _OTHERS


def _cells(row: Row, shown: _Shown) -> list[str]:
    return [text(row) for text in shown.values()]


def _number(value: Any, form: str) -> str:
    return _DASH if _missing(value) else form.format(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _escaped(text: str) -> str:
    return text.translate(_TEX)
