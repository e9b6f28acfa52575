"""From a measurement to the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.report.content import ReportField, ReportInfo
from napari_micro_ktnet.report.page import page_context
from napari_micro_ktnet.report.trend import read_lots


def write_report(
    path: str | os.PathLike[str],
    measurement: Measurement,
    fields: Sequence[ReportField] = (),
    info: ReportInfo | None = None,
    earlier: Sequence[str | os.PathLike[str]] = (),
) -> Path:
    """Write one self-contained HTML file: no script, no other file, nothing from the network.

    Parameters
    ----------
    path : path
        Where it goes; replaced whole or not at all.
    measurement : Measurement
        From `pool` or `measure`.
    fields : sequence of ReportField
        One for each of ``measurement.fields``, in their order; none for a report without pictures and
        traceability.
    info : ReportInfo, optional
        Lot, operator and so on.
    earlier : sequence of path
        JSON files of earlier lots (from `micro-ktnet measure`, `batch` or the widget), from the oldest to
        the newest, for the trend.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The number of fields is another one than measured.
    DataError
        An earlier file is no measurement.
    ReadError
        The picture of a field, or an earlier file, cannot be read.
    OutputError
        The file cannot be written.
    """
    if fields and len(fields) != len(measurement.fields):
        raise InputError(
            f"{len(fields)} fields were given for the report of {len(measurement.fields)} measured ones. "
            "Give one for each, in the same order."
        )
    environment = Environment(
        loader=PackageLoader("napari_micro_ktnet.report"), autoescape=True, undefined=StrictUndefined
    )
    context = page_context(measurement, fields, info or ReportInfo(), read_lots(earlier))
    page = environment.get_template("report.html.j2").render(context)
    return write_bytes(Path(path), page.encode())
