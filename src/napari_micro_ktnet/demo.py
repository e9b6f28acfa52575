"""The main job from end to end on an image whose truth is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.batch.overlay import error_overlay, write_png
from napari_micro_ktnet.batch.plan import plan_files
from napari_micro_ktnet.batch.segmentation import FileDone, FileProgress, iter_segment_files
from napari_micro_ktnet.errors import InputError, ReadError
from napari_micro_ktnet.files import check_writable, file_sha256, write_bytes
from napari_micro_ktnet.measurement.error_map import error_map
from napari_micro_ktnet.measurement.scores import PixelScores, confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.runner import make_options
from napari_micro_ktnet.sem import read_sem, write_image, write_labels
from napari_micro_ktnet.synthetic import SyntheticSEM, masterbatch_image

SEED = 7
NAME = "masterbatch"
# Key in the record: hashes of the files that only the demo writes.
_FILES = "demo_files"


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration made.

    Attributes
    ----------
    image, labels, truth, overlay, record : Path
        Its files.
    scores : PixelScores
        Of the prediction against the exact truth, pooled over the pixels of the one image.
    """

    image: Path
    labels: Path
    truth: Path
    overlay: Path
    record: Path
    scores: PixelScores


def iter_demo(output: Path, model: Model, device: str = "auto") -> Iterator[FileProgress | DemoResult]:
    """Render an image, segment its file, score the labels; the last thing yielded is the result.

    Parameters
    ----------
    output : Path
        Folder for all files, made if missing.
    model : Model
        From `load_model`.
    device : str
        See `napari_micro_ktnet.predict.runner.PredictOptions`.

    Raises
    ------
    InputError
        Nothing can be written into the folder, files of other origin have the names that are needed there,
        or the device is not there.
    """
    check_writable(output)
    make_options({"device": device})
    scene = masterbatch_image(seed=SEED, data_bar=True)
    _check_names(output, scene)
    image = write_image(output / f"{NAME}.tif", scene.pixels, scene.pixel_size)
    truth = write_labels(output / f"{NAME}_truth.tif", scene.mask, scene.pixel_size)
    for report in iter_segment_files(plan_files([image]), output, model, device=device):
        if isinstance(report, FileProgress):
            yield report
            continue
        yield _finish(report, output, image, truth)


def _check_names(output: Path, scene: SyntheticSEM) -> None:
    """Refuse to replace what no demo wrote, as far as its record or the same pixels tell."""
    written = _written_before(output / f"{NAME}.json")
    expected = {f"{NAME}.tif": scene.pixels, f"{NAME}_truth.tif": scene.mask, f"{NAME}_overlay.png": None}
    for name, pixels in expected.items():
        path = output / name
        if not os.path.lexists(path) or (path.is_file() and file_sha256(path) == written.get(name)):
            continue
        if pixels is None or not _holds(path, pixels):
            raise InputError(
                f"{path} was not written by the demo, which would write over it, or changed since. Choose "
                "another output folder, or move the file away."
            )


def _written_before(record: Path) -> dict[str, str]:
    try:
        content = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return {}
    written = content.get(_FILES) if isinstance(content, dict) else None
    return written if isinstance(written, dict) else {}


def _holds(path: Path, pixels: NDArray[Any]) -> bool:
    try:
        return np.array_equal(read_sem(path).pixels, pixels)
    except ReadError:
        return False


def _finish(report: FileDone, output: Path, image: Path, truth: Path) -> DemoResult:
    if report.error is not None:
        raise report.error
    (record,) = report.records
    labels = output / record.labels
    rows = slice(*record.analysed_region.rows)
    predicted = read_sem(labels).pixels[rows] == 1
    expected = read_sem(truth).pixels[rows] > 0
    matrix = confusion_matrix(predicted.astype(int), expected.astype(int), 2)
    scores = scores_from_confusion(matrix)[0]
    picture = error_overlay(read_sem(image).pixels[rows], error_map(predicted, expected))
    overlay = write_png(output / f"{NAME}_overlay.png", picture)
    path = output / f"{NAME}.json"
    content = record.model_dump(mode="json") | {"scores": asdict(scores), "averaging": "pooled over pixels"}
    content[_FILES] = {file.name: file_sha256(file) for file in (image, truth, overlay)}
    write_bytes(path, json.dumps(content, indent=2).encode())
    return DemoResult(image, labels, truth, overlay, path, scores)
