"""Segment many files: a generator that yields per tile and per file, and writes as it goes."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_micro_ktnet.batch.overlay import class_overlay, write_png
from napari_micro_ktnet.batch.plan import PlannedFile
from napari_micro_ktnet.batch.record import SegmentationRecord, make_record
from napari_micro_ktnet.errors import InputError, MicroKTNetError
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.inference import iter_segment
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.predict.runner import TileReport, make_options
from napari_micro_ktnet.sem import SEMImage, read_sem_pages, write_image, write_labels


@dataclass(frozen=True)
class OutputOptions:
    """What is written beside the labels.

    Attributes
    ----------
    threshold : float
        See `Segmentation.labels`.
    save_probability : bool
        ``<stem>_probability.tif``, float32 ``(Y, X)``; of several classes one file each.
    save_overlay : bool
        ``<stem>_overlay.png``.
    """

    threshold: float = 0.5
    save_probability: bool = False
    save_overlay: bool = False


@dataclass(frozen=True)
class FileProgress:
    """A tile of a file is done.

    Attributes
    ----------
    file : PlannedFile
        The file.
    tile : TileReport
        How far it is.
    """

    file: PlannedFile
    tile: TileReport


@dataclass(frozen=True)
class FileDone:
    """A file is finished.

    Attributes
    ----------
    file : PlannedFile
        The file.
    records : tuple of SegmentationRecord
        One for each label image written; empty after an error.
    error : MicroKTNetError or None
        Why the file failed.
    """

    file: PlannedFile
    records: tuple[SegmentationRecord, ...]
    error: MicroKTNetError | None = None


def iter_segment_files(
    files: Sequence[PlannedFile],
    output: str | os.PathLike[str],
    model: Model,
    options: OutputOptions | None = None,
    **predict: Any,
) -> Iterator[FileProgress | FileDone]:
    """Segment files one after the other; one that fails does not stop the rest.

    Parameters
    ----------
    files : sequence of PlannedFile
        From `plan_files`.
    output : path
        Folder for the results, made if missing: ``<stem>_labels.tif`` (uint8 ``(Y, X)``, 0 =
        matrix and data bar, pixel size kept) and ``<stem>.json``. Pages of one file and slices
        of a stack get a suffix.
    model : Model
        From `load_model`.
    options : OutputOptions, optional
        Threshold, and what else to write.
    **predict
        Options of `napari_micro_ktnet.segment`.

    Raises
    ------
    InputError
        An option is out of range.
    """
    options = options or OutputOptions()
    if not 0 <= options.threshold <= 1:
        raise InputError(f"The threshold must be from 0 to 1, found {options.threshold}.")
    # Wrong options are the caller's error, not every file's.
    make_options({k: v for k, v in predict.items() if k not in ("region", "match_pixel_size")})
    for file in files:
        try:
            records = yield from segment_file(file, Path(output), model, options, predict)
        except MicroKTNetError as error:
            yield FileDone(file, (), error)
        else:
            yield FileDone(file, records)


def segment_file(
    file: PlannedFile, output: Path, model: Model, options: OutputOptions, predict: Mapping[str, Any]
) -> Generator[FileProgress, None, tuple[SegmentationRecord, ...]]:
    """Segment the images of one file; see `iter_segment_files`."""
    images = read_sem_pages(file.path)
    records: list[SegmentationRecord] = []
    for number, image in enumerate(images):
        stem = file.stem if len(images) == 1 else f"{file.stem}_p{number}"
        steps = iter_segment(image, model, **predict)
        while True:
            try:
                yield FileProgress(file, next(steps))
            except StopIteration as stop:
                result: Segmentation = stop.value
                break
        records += _write(replace(image, path=file.path), result, output, stem, options)
    return tuple(records)


def _write(
    image: SEMImage, result: Segmentation, output: Path, stem: str, options: OutputOptions
) -> list[SegmentationRecord]:
    if image.pixels.ndim == 2:
        return [_write_one(image, result, output, stem, options, None)]
    slices = range(len(image.pixels))
    return [_write_one(image, result, output, f"{stem}_z{z:04d}", options, z) for z in slices]


def _write_one(
    image: SEMImage, result: Segmentation, output: Path, stem: str, options: OutputOptions, z: int | None
) -> SegmentationRecord:
    pixels = image.pixels if z is None else image.pixels[z]
    probability = result.probability if z is None else result.probability[:, z]
    labels = replace(result, probability=probability).labels(options.threshold)
    record = make_record(image, result, labels, f"{stem}_labels.tif", options.threshold, z)
    write_labels(output / record.labels, labels, image.pixel_size)
    if options.save_probability:
        channels = probability if len(probability) == 1 else probability[1:]
        for entry, channel in zip(result.spec.classes, channels, strict=True):
            suffix = "" if len(channels) == 1 else f"_{entry.name.replace(' ', '-')}"
            write_image(output / f"{stem}_probability{suffix}.tif", channel, image.pixel_size)
    if options.save_overlay:
        write_png(output / f"{stem}_overlay.png", class_overlay(pixels, labels, result.spec.classes))
    # The record goes last: where it lies, everything else is complete.
    write_bytes(output / f"{stem}.json", record.model_dump_json(indent=2).encode())
    return record
