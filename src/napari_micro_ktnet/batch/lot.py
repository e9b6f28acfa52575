"""A whole batch: from files to the figures of a lot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from napari_micro_ktnet.batch.job import STATE_FOLDER, BatchJob
from napari_micro_ktnet.batch.lot_tables import write_fields_csv, write_objects_csv
from napari_micro_ktnet.batch.measuring import FileOutcome, state_path
from napari_micro_ktnet.batch.parallel import Where, run_files
from napari_micro_ktnet.batch.plan import PlannedFile, plan_files
from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.batch.segmentation import FileProgress
from napari_micro_ktnet.batch.state import FieldState, measurement_of, read_state
from napari_micro_ktnet.errors import OutputError
from napari_micro_ktnet.files import check_writable, write_bytes
from napari_micro_ktnet.measurement.fields import FieldMeasurement
from napari_micro_ktnet.measurement.limits import Limits
from napari_micro_ktnet.measurement.pooled import Measurement, pool
from napari_micro_ktnet.measurement.shapes import AgglomerateTable
from napari_micro_ktnet.measurement.summary import MeasurementRecord

RECORD, REPORT = "measurement.json", "report.html"
OBJECTS, FIELDS = "objects.csv", "fields.csv"

_MOST_ERRORS = 20
# What pooled figures and pictures need of every object: the rest stays on disk.
_KEPT = (
    "object",
    "y_px",
    "x_px",
    "top",
    "left",
    "bottom",
    "right",
    "area_px",
    "area_um2",
    "ecd_px",
    "ecd_um",
    "feret_max_px",
    "feret_max_um",
    "border",
    "weight",
)


class FileEntry(BaseModel):
    """A file of a batch: name, hash, why it failed, and the places of its fields in the record, from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    sha256: str
    error: str
    fields: tuple[int, ...]


class BatchRecord(MeasurementRecord):
    """What is written as ``measurement.json``: the form of `measure`, and where everything comes from.

    Attributes
    ----------
    lot, operator : str
        As typed.
    written : str
        Date and time.
    files : tuple of FileEntry
        Every file of the batch, those that failed among them.
    segmentations : tuple of SegmentationRecord
        One for each field: image, hash, model, parameters.
    acquisition : tuple of dict
        One for each field, from `sem.describe.describe`.
    """

    lot: str = ""
    operator: str = ""
    written: str
    files: tuple[FileEntry, ...]
    segmentations: tuple[SegmentationRecord, ...]
    acquisition: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class BatchResult:
    """A batch is finished.

    Attributes
    ----------
    job : BatchJob
        How it was made.
    measurement : Measurement or None
        Of all fields; the tables hold only what pooled figures need. None where every file failed.
    record : BatchRecord or None
        As written.
    errors : tuple of str
        Of the files that failed.
    files : int
        How many there were.
    written : tuple of Path
        Tables and record.
    """

    job: BatchJob
    measurement: Measurement | None
    record: BatchRecord | None
    errors: tuple[str, ...]
    files: int
    written: tuple[Path, ...] = ()

    @property
    def report(self) -> Path:
        """Where a report of this batch belongs."""
        return self.job.output / REPORT


def plan_batch(inputs: Sequence[str | os.PathLike[str]]) -> tuple[PlannedFile, ...]:
    """List the files of a batch, with paths that hold in other processes; see `plan_files`.

    Raises
    ------
    InputError
        Nothing was given, or nothing but folders without an image.
    ReadError
        A folder cannot be looked into.
    """
    planned = plan_files([Path(p) for p in inputs], [Path(RECORD).stem])
    return tuple(PlannedFile(f.path.resolve(), f.stem) for f in planned)


def iter_batch(
    files: Sequence[PlannedFile],
    job: BatchJob,
    limits: Limits | None = None,
    where: Where | None = None,
    lot: str = "",
    operator: str = "",
) -> Iterator[FileProgress | FileOutcome | BatchResult]:
    """Segment and measure files, and put them together as one lot.

    A batch that was stopped goes on where it was: a file that was finished with the same content, model and
    parameters is taken over. Beside what `iter_segment_files` writes, the output folder gets
    ``measured/<stem>.json`` of each file, ``objects.csv``, ``fields.csv`` and ``measurement.json``.

    Parameters
    ----------
    files : sequence of PlannedFile
        From `plan_batch`.
    job : BatchJob
        From `make_job`.
    limits : Limits, optional
        To judge the lot by.
    where : Where, optional
        One file after the other, in this process, by default.
    lot, operator : str
        For the record.

    Yields
    ------
    FileProgress, FileOutcome, BatchResult
        Tiles, one outcome for each file, and the result at the end.

    Raises
    ------
    InputError
        The cluster cannot be reached, the limits are for another d*, or nothing can be written into the
        output folder.
    OutputError
        A table cannot be written, or its name is taken by a file that no batch wrote.
    """
    check_writable(job.output)
    _check_replaceable(job.output)
    outcomes: dict[str, FileOutcome] = {}
    for step in run_files(files, job, where or Where()):
        if isinstance(step, FileOutcome):
            outcomes[step.file.stem] = step
        yield step
    yield _put_together(files, outcomes, job, limits, lot, operator)


def _check_replaceable(output: Path) -> None:
    """Make sure that tables replace nothing but those of an earlier batch."""
    if (output / STATE_FOLDER).is_dir():
        return
    for path in (output / name for name in (OBJECTS, FIELDS, RECORD, REPORT)):
        if os.path.lexists(path):
            raise OutputError(
                f"{path} is there already, and no batch has written into this folder. It is not replaced: "
                "choose another output folder, or move it away."
            )


def _put_together(
    files: Sequence[PlannedFile],
    outcomes: dict[str, FileOutcome],
    job: BatchJob,
    limits: Limits | None,
    lot: str,
    operator: str,
) -> BatchResult:
    errors = tuple(outcomes[f.stem].error for f in files if outcomes[f.stem].error)
    fields: list[FieldMeasurement] = []
    states: list[FieldState] = []
    entries: list[FileEntry] = []
    for file in files:
        error, sha256, first = outcomes[file.stem].error, "", len(fields)
        if not error:
            sha256, found = _finished(file, job)
            fields += [_slim(measurement_of(state)) for state in found]
            states += [state.model_copy(update={"objects": {}}) for state in found]
        places = tuple(range(first, len(fields)))
        entries.append(FileEntry(input=str(file.path), sha256=sha256, error=error, fields=places))
    if not fields:
        return BatchResult(job, None, None, errors, len(files))
    measurement = pool(fields, job.measure, limits, _failures(errors, len(files)))
    record = BatchRecord(
        **dict(measurement.record),
        lot=lot,
        operator=operator,
        written=datetime.now().astimezone().isoformat(timespec="seconds"),
        files=tuple(entries),
        segmentations=tuple(s.segmentation for s in states),
        acquisition=tuple(s.description for s in states),
    )
    finished = [f for f in files if not outcomes[f.stem].error]
    written = (
        write_objects_csv(job.output / OBJECTS, (s for f in finished for s in _finished(f, job)[1])),
        write_fields_csv(job.output / FIELDS, states),
        write_bytes(job.output / RECORD, record.model_dump_json(indent=2).encode()),
    )
    return BatchResult(job, measurement, record, errors, len(files), written)


def _finished(file: PlannedFile, job: BatchJob) -> tuple[str, tuple[FieldState, ...]]:
    path = state_path(job, file)
    state = read_state(path)
    if state is None:
        raise OutputError(
            f"{path} was written by this batch but cannot be read any more. Run the batch again: it goes on "
            "from what is there."
        )
    return state.input_sha256, state.fields


def _slim(measured: FieldMeasurement) -> FieldMeasurement:
    columns = {name: column for name, column in measured.table.columns.items() if name in _KEPT}
    return FieldMeasurement(AgglomerateTable(columns), measured.region, measured.summary)


def _failures(errors: Sequence[str], files: int) -> list[str]:
    if not errors:
        return []
    more = [f"and {len(errors) - _MOST_ERRORS} more"] if len(errors) > _MOST_ERRORS else []
    head = f"{len(errors)} of {files} files could not be measured and are not in these figures."
    return [head, *errors[:_MOST_ERRORS], *more]
