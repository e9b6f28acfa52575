"""Segment many files: a generator that yields per tile and per file, and writes as it goes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from napari_micro_ktnet.batch.plan import PlannedFile, no_image_in
from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.batch.writing import OutputOptions, check_replaceable, result_stems, write_result
from napari_micro_ktnet.errors import InputError, MicroKTNetError
from napari_micro_ktnet.files import check_writable, is_folder
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.device import explaining_memory
from napari_micro_ktnet.predict.inference import iter_segment
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.predict.runner import TileReport, make_options
from napari_micro_ktnet.sem import SEMImage, read_sem_pages


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
        An option is out of range, or nothing can be written into the output folder.
    """
    options = options or OutputOptions()
    if not 0 <= options.threshold <= 1:
        raise InputError(f"The threshold must be from 0 to 1, found {options.threshold}.")
    # Wrong options are the caller's error, not every file's.
    make_options({k: v for k, v in predict.items() if k not in ("region", "match_pixel_size")})
    check_writable(Path(output))
    for file in files:
        try:
            with explaining_memory(str(file.path)):
                records = yield from segment_file(file, Path(output), model, options, predict)
        except MicroKTNetError as error:
            yield FileDone(file, (), error)
        else:
            yield FileDone(file, records)


def _check_no_mask(image: SEMImage) -> None:
    """Refuse a mask, as it may lie beside the images of a folder."""
    pixels, told = image.pixels, image.metadata
    # What a microscope wrote is an image whatever it shows, also where nothing is left of it but the bar.
    acquired = told.instrument or told.detector or told.accelerating_voltage_v or told.working_distance_m
    if acquired or image.rgb or pixels.dtype.kind not in "ui":
        return
    # A few of the pixels tell in nearly all cases.
    if len(np.unique(pixels[..., ::16, ::16])) > 2 or len(values := np.unique(pixels)) != 2 or values[0] != 0:
        return
    raise InputError(
        f"{image.name} holds 0 and one other value alone, so it is a mask or labels, and no SEM image. "
        "Keep masks in a folder of their own."
    )


def segment_file(
    file: PlannedFile, output: Path, model: Model, options: OutputOptions, predict: Mapping[str, Any]
) -> Generator[FileProgress, None, tuple[SegmentationRecord, ...]]:
    """Segment the images of one file; see `iter_segment_files`."""
    if is_folder(file.path):
        raise InputError(no_image_in(file.path))
    images = read_sem_pages(file.path)
    for image in images:
        _check_no_mask(image)
    pages = [file.stem if len(images) == 1 else f"{file.stem}_p{number}" for number in range(len(images))]
    names = [result_stems(image, stem) for image, stem in zip(images, pages, strict=True)]
    for stem in chain.from_iterable(names):
        check_replaceable(output, stem, options, model.spec.classes)
    records: list[SegmentationRecord] = []
    for image, stems in zip(images, names, strict=True):
        steps = iter_segment(image, model, **predict)
        while True:
            try:
                yield FileProgress(file, next(steps))
            except StopIteration as stop:
                result: Segmentation = stop.value
                break
        records += _write(replace(image, path=file.path), result, output, stems, options)
    return tuple(records)


def _write(
    image: SEMImage, result: Segmentation, output: Path, stems: Sequence[str], options: OutputOptions
) -> list[SegmentationRecord]:
    if result.analysed.ndim == 2:
        return [write_result(image, result, output, stems[0], options, None)]
    there = np.array([each.any() for each in result.analysed])
    if not there.all():
        missing = ", ".join(str(z) for z in np.flatnonzero(~there))
        warnings.warn(
            f"{image.path}: no pixel of the slices {missing} (from 0) is a finite number. "
            "They get no results.",
            stacklevel=2,
        )
    return [write_result(image, result, output, stem, options, z) for z, stem in enumerate(stems) if there[z]]
