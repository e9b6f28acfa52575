"""One file of a batch: segmented, measured, and written down; or taken over as it is."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_micro_ktnet.batch.job import STATE_FOLDER, BatchJob
from napari_micro_ktnet.batch.loading import image_of
from napari_micro_ktnet.batch.plan import PlannedFile, no_image_in
from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.batch.segmentation import FileProgress, segment_file
from napari_micro_ktnet.batch.state import FieldState, FileState, field_state, read_state, write_state
from napari_micro_ktnet.errors import DataError, InputError, MicroKTNetError, ReadError
from napari_micro_ktnet.files import file_sha256, is_folder, write_bytes
from napari_micro_ktnet.measurement.fields import measure_field
from napari_micro_ktnet.measurement.label_files import load_field, record_path
from napari_micro_ktnet.predict.device import explaining_memory
from napari_micro_ktnet.sem.describe import describe


@dataclass(frozen=True)
class FileOutcome:
    """A file of a batch is finished.

    Attributes
    ----------
    file : PlannedFile
        The file.
    error : str
        Why it failed; empty if it did not.
    reused : bool
        It was finished by an earlier run.
    """

    file: PlannedFile
    error: str = ""
    reused: bool = False


def state_path(job: BatchJob, file: PlannedFile) -> Path:
    """Where the state of a file is kept."""
    return job.output / STATE_FOLDER / f"{file.stem}.json"


def process_file(file: PlannedFile, job: BatchJob) -> FileOutcome:
    """Segment and measure one file, unless an earlier run has done so."""
    steps = iter_process_file(file, job)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            outcome: FileOutcome = stop.value
            return outcome


def iter_process_file(file: PlannedFile, job: BatchJob) -> Generator[FileProgress, None, FileOutcome]:
    """Do the same as `process_file`, and yield after every tile."""
    try:
        with explaining_memory(str(file.path)):
            reused = yield from _process(file, job)
    except MicroKTNetError as error:
        text = str(error)
        return FileOutcome(file, text if str(file.path) in text else f"{file.path}: {text}")
    return FileOutcome(file, reused=reused)


def _process(file: PlannedFile, job: BatchJob) -> Generator[FileProgress, None, bool]:
    if is_folder(file.path):
        raise InputError(no_image_in(file.path))
    try:
        sha256 = file_sha256(file.path)
    except OSError as error:
        raise ReadError(
            f"{file.path} cannot be read ({error.strerror or error}). "
            "Check its name, and that you may read it."
        ) from error
    state = read_state(state_path(job, file))
    segmented = (
        state is not None
        and (state.input_sha256, state.segmentation_key) == (sha256, job.segmentation_key)
        and all((job.output / name).is_file() for f in state.fields for name in _measured(f.segmentation))
    )
    if state is not None and segmented:
        for known in state.fields:
            _check_unchanged(known, job.output)
        moved = state.input != str(file.path)
        if state.measurement_key == job.measurement_key and not moved:
            return True
        records = tuple(f.segmentation for f in state.fields)
        if moved:
            records = tuple(_at(file.path, record, job.output) for record in records)
    else:
        records = yield from segment_file(file, job.output, job.load_model(), job.outputs, job.predict)
    fields = tuple(_measure(record, job) for record in records)
    new = FileState(
        input=str(file.path),
        input_sha256=sha256,
        segmentation_key=job.segmentation_key,
        measurement_key=job.measurement_key,
        fields=fields,
    )
    # Last, so that a file counts as finished only when everything of it is there.
    write_state(state_path(job, file), new)
    return False


def _measured(record: SegmentationRecord) -> list[str]:
    """Names of the files that are measured."""
    return [record.labels, *([record.analysed_mask] if record.analysed_mask else [])]


def _at(path: Path, record: SegmentationRecord, output: Path) -> SegmentationRecord:
    """Say in a record that its image, which has the same content, lies elsewhere now."""
    new = record.model_copy(update={"input": str(path)})
    beside = record_path(output / record.labels)
    assert beside is not None  # noqa: S101 - the labels of every record end in _labels.tif
    write_bytes(beside, new.model_dump_json(indent=2).encode())
    return new


def _measure(record: SegmentationRecord, job: BatchJob) -> FieldState:
    image = image_of(record)
    labels = job.output / record.labels
    measured = measure_field(load_field(labels, job.pixel_size, image), job.measure)
    return field_state(record, describe(image), measured)


def _check_unchanged(known: FieldState, output: Path) -> None:
    record = known.segmentation
    for path in (output / name for name in _measured(record)):
        if file_sha256(path) != record.files[path.name]:
            raise DataError(
                f"{path} was changed after the batch wrote it, so its agglomerates are not those of the "
                "model. Measure it with 'micro-ktnet measure', or delete it to segment its image again."
            )
