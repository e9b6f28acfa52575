"""The files that are left of one segmented image, and which files of others they must not replace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.batch.overlay import class_overlay, write_png
from napari_micro_ktnet.batch.record import SegmentationRecord, make_record, recorded_files
from napari_micro_ktnet.errors import OutputError
from napari_micro_ktnet.files import file_sha256, replacing, write_bytes
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.sem import SEMImage, write_image, write_labels


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


def result_stems(image: SEMImage, stem: str) -> list[str]:
    """Give what the names of an image's results begin with: of a stack one for each slice."""
    if image.pixels.ndim == 2 or image.rgb:
        return [stem]
    return [f"{stem}_z{z:04d}" for z in range(len(image.pixels))]


def check_replaceable(
    output: Path, stem: str, options: OutputOptions, classes: tuple[LabelClass, ...]
) -> None:
    """Make sure that results replace nothing but earlier results.

    Raises
    ------
    OutputError
        A file with the name of a result is no result, or was changed since: a mask drawn by hand is the
        work of hours. Or it cannot be read.
    """
    record = output / f"{stem}.json"
    known = recorded_files(record)
    if known is None and os.path.lexists(record):
        raise _in_the_way(record, "is no record of a segmentation")
    names = [_labels_name(stem), _mask_name(stem), *_probability_names(stem, options, classes)]
    for path in (output / name for name in (*names, *_overlay_names(stem, options))):
        if not os.path.lexists(path):
            continue
        if known is None or path.name not in known:
            raise _in_the_way(path, f"is in no record {record.name} beside it, so it comes from elsewhere")
        if _sha256(path) not in known[path.name]:
            raise _in_the_way(path, "was changed since it was written")


def write_result(
    image: SEMImage, result: Segmentation, output: Path, stem: str, options: OutputOptions, z: int | None
) -> SegmentationRecord:
    """Write the files of an image, or of slice `z` of a stack; if one cannot be written, none.

    What an earlier result had and this one has not (an overlay) is removed, unless it was changed.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    pixels = np.asarray(image.pixels if z is None else image.pixels[z])
    if z is not None:
        probability, analysed = result.probability[:, z], result.analysed[z]
        result = replace(result, probability=probability, analysed=analysed)
    labels = result.labels(options.threshold)
    record = make_record(image, result, labels, _labels_name(stem), options.threshold, z)
    region = record.analysed_region
    if not result.analysed[slice(*region.rows), slice(*region.columns)].all():
        record = record.model_copy(update={"analysed_mask": _mask_name(stem)})
    earlier = recorded_files(output / f"{stem}.json") or {}
    new: dict[str, str] = {}
    with ExitStack() as files:
        for name, write in _contents(record, result, labels, pixels, stem, options):
            path = files.enter_context(replacing(output / name))
            write(path)
            new[name] = file_sha256(path)
        before = {name: _sha256(output / name) for name in new if (output / name).is_file()}
        record = record.model_copy(update={"files": new, "files_before": before})
        # Entered last, it gets its name first: whatever stops the others, it knows the files that lie there.
        path = files.enter_context(replacing(output / f"{stem}.json"))
        write_bytes(path, record.model_dump_json(indent=2).encode())
    for name in earlier.keys() - new.keys():
        _remove_stale(output / name, earlier[name])
    return record


def _remove_stale(path: Path, hashes: Sequence[str]) -> None:
    if not path.is_file() or _sha256(path) not in hashes:
        return
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} belongs to an earlier result and could not be removed ({error.strerror or error})."
        ) from error


def _contents(
    record: SegmentationRecord,
    result: Segmentation,
    labels: NDArray[np.uint8],
    pixels: NDArray[Any],
    stem: str,
    options: OutputOptions,
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Yield the files of an image: names, and what writes each to a path."""
    size, classes = record.pixel_size_nm, result.spec.classes
    yield record.labels, partial(write_labels, labels=labels, pixel_size=size)
    if record.analysed_mask:
        inside = result.analysed.astype(np.uint8)
        yield record.analysed_mask, partial(write_labels, labels=inside, pixel_size=size)
    channels = result.probability[-len(classes) :]
    for name, channel in zip(_probability_names(stem, options, classes), channels, strict=False):
        yield name, partial(write_image, pixels=channel, pixel_size=size)
    for name in _overlay_names(stem, options):
        yield name, partial(write_png, picture=class_overlay(pixels, labels, classes))


def _labels_name(stem: str) -> str:
    return f"{stem}_labels.tif"


def _mask_name(stem: str) -> str:
    return f"{stem}_analysed.tif"


def _probability_names(stem: str, options: OutputOptions, classes: tuple[LabelClass, ...]) -> list[str]:
    if not options.save_probability:
        return []
    if len(classes) == 1:
        return [f"{stem}_probability.tif"]
    return [f"{stem}_probability_{entry.name.replace(' ', '-')}.tif" for entry in classes]


def _overlay_names(stem: str, options: OutputOptions) -> list[str]:
    return [f"{stem}_overlay.png"] if options.save_overlay else []


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise OutputError(
            f"{path} is there already and cannot be read ({error.strerror or error}): close what uses it."
        ) from error


def _in_the_way(path: Path, why: str) -> OutputError:
    return OutputError(
        f"{path} is there already and {why}. "
        "It is not replaced: choose another output folder, or move it away."
    )
