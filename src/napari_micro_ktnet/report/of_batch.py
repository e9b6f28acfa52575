"""The report of a batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_micro_ktnet.batch.loading import load_measured
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.report.content import ReportField, ReportInfo
from napari_micro_ktnet.report.writing import write_report

if TYPE_CHECKING:
    from napari_micro_ktnet.batch.lot import BatchResult


def write_batch_report(
    result: BatchResult,
    title: str = "",
    notes: str = "",
    earlier: Sequence[str | os.PathLike[str]] = (),
) -> Path:
    """Write ``report.html`` beside the other results of a batch.

    Parameters
    ----------
    result : BatchResult
        From `iter_batch`.
    title, notes : str
        As in `ReportInfo`; lot and operator are those of the batch.
    earlier : sequence of path
        See `write_report`.

    Raises
    ------
    InputError
        No file of the batch could be measured.
    DataError, ReadError, OutputError
        See `write_report`.
    """
    if result.measurement is None or result.record is None:
        raise InputError("No file of this batch could be measured, so that there is nothing to report.")
    fields = [
        ReportField(partial(load_measured, record, result.job.output, result.job.pixel_size), known, record)
        for record, known in zip(result.record.segmentations, result.record.acquisition, strict=True)
    ]
    info = ReportInfo(result.record.lot, result.record.operator, title, notes)
    return write_report(result.report, result.measurement, fields, info, earlier)
