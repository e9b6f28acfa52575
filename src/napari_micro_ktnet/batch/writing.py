"""The files that are left of one segmented image, and which files of others they must not replace."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_micro_ktnet.batch.overlay import class_overlay, write_png
from napari_micro_ktnet.batch.record import SegmentationRecord, make_record
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
        work of hours.
    """
    record, labels = output / f"{stem}.json", output / _labels_name(stem)
    if os.path.lexists(record):
        known = _read(record)
        if known.get("labels") != labels.name or "input_sha256" not in known:
            raise _in_the_way(record, "is not a record of a segmentation")
        written = known.get("labels_sha256")
        if written and labels.is_file() and file_sha256(labels) != written:
            raise _in_the_way(labels, "was changed since it was written")
        return
    names = [labels.name, *_probability_names(stem, options, classes), *_overlay_names(stem, options)]
    for path in (output / name for name in names):
        if os.path.lexists(path):
            raise _in_the_way(path, f"has no record {record.name} beside it, so it comes from elsewhere")


def write_result(
    image: SEMImage, result: Segmentation, output: Path, stem: str, options: OutputOptions, z: int | None
) -> SegmentationRecord:
    """Write the files of an image, or of slice `z` of a stack: all of them, or none.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    if z is not None:
        image_pixels, analysed = np.asarray(image.pixels[z]), result.analysed[z]
        result = replace(result, probability=result.probability[:, z], analysed=analysed)
    else:
        image_pixels = np.asarray(image.pixels)
    labels = result.labels(options.threshold)
    classes = result.spec.classes
    record = make_record(image, result, labels, _labels_name(stem), options.threshold, z)
    # The last to be entered gets its name first: where the record lies, everything else is complete.
    with ExitStack() as files:
        record_file = files.enter_context(replacing(output / f"{stem}.json"))
        labels_file = files.enter_context(replacing(output / record.labels))
        write_labels(labels_file, labels, image.pixel_size)
        record = record.model_copy(update={"labels_sha256": file_sha256(labels_file)})
        region = record.analysed_region
        if not result.analysed[slice(*region.rows), slice(*region.columns)].all():
            record = record.model_copy(update={"analysed_mask": f"{stem}_analysed.tif"})
            mask_file = files.enter_context(replacing(output / record.analysed_mask))
            write_labels(mask_file, result.analysed.astype(np.uint8), image.pixel_size)
        channels = result.probability[-len(classes) :]
        for name, channel in zip(_probability_names(stem, options, classes), channels, strict=False):
            write_image(files.enter_context(replacing(output / name)), channel, image.pixel_size)
        for name in _overlay_names(stem, options):
            picture = class_overlay(image_pixels, labels, classes)
            write_png(files.enter_context(replacing(output / name)), picture)
        write_bytes(record_file, record.model_dump_json(indent=2).encode())
    return record


def _labels_name(stem: str) -> str:
    return f"{stem}_labels.tif"


def _probability_names(stem: str, options: OutputOptions, classes: tuple[LabelClass, ...]) -> list[str]:
    if not options.save_probability:
        return []
    if len(classes) == 1:
        return [f"{stem}_probability.tif"]
    return [f"{stem}_probability_{entry.name.replace(' ', '-')}.tif" for entry in classes]


def _overlay_names(stem: str, options: OutputOptions) -> list[str]:
    return [f"{stem}_overlay.png"] if options.save_overlay else []


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        # Whatever it is, it is no record.
        return {}
    return content if isinstance(content, dict) else {}


def _in_the_way(path: Path, why: str) -> OutputError:
    return OutputError(
        f"{path} is there already and {why}. "
        "It is not replaced: choose another output folder, or move it away."
    )
