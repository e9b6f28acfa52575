"""Predictions and truth from two folders."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError, InputError
from napari_micro_ktnet.measurement.label_files import analysed_pixels, mask_path
from napari_micro_ktnet.measurement.label_pairs import LabelPair
from napari_micro_ktnet.sem.masks import files_by_stem

# What `micro-ktnet segment` writes beside labels.
_NO_LABELS = re.compile(r"_(analysed|overlay|probability(_.+)?)$")
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class PairedFolders:
    """Files that belong together.

    Attributes
    ----------
    pairs : tuple of LabelPair
        Sorted by name; pixels that the segmentation did not analyse are to be ignored.
    classes : tuple of str
        Names that the records of the segmentation give; none where there is no record.
    images : tuple of Path or None
        The segmented image of each pair as its record names it, None where there is no record.
    warnings : tuple of str
        Files that were left out.
    """

    pairs: tuple[LabelPair, ...]
    classes: tuple[str, ...]
    images: tuple[Path | None, ...]
    warnings: tuple[str, ...]


def pair_folders(predictions: Path, truth: Path) -> PairedFolders:
    """Pair the files of two folders by stem, ``_mask`` and ``_labels`` at its end ignored.

    Parameters
    ----------
    predictions : Path
        Folder with label files. The ``<stem>.json`` beside them that `micro-ktnet segment` writes
        says where the network looked, and which classes there are.
    truth : Path
        Folder with masks.

    Raises
    ------
    DataError
        A truth has no prediction, a folder is missing or has no images, or a record cannot be read.
    ReadError
        The mask that a record names cannot be read.
    """
    predicted = files_by_stem(predictions, "prediction", _NO_LABELS)
    expected = files_by_stem(truth, "truth", _NO_LABELS)
    lonely = [expected[s].name for s in expected if s not in predicted]
    spare = [predicted[s].name for s in predicted if s not in expected]
    if not expected:
        raise DataError(f"There is no mask in {truth}. Give a folder with masks (TIFF, PNG, JPEG, BMP).")
    if lonely:
        text = f"{len(lonely)} of {len(expected)} masks in {truth} have no prediction in {predictions}: "
        text += listed(lonely) + "."
        if spare:
            text += f" Predictions without a mask: {listed(spare)}."
        raise DataError(
            text + " Files belong together when their stems are equal but for '_mask' or '_labels'."
        )
    warnings = []
    if spare:
        warnings.append(
            f"{len(spare)} of {len(predicted)} predictions have no mask and are left out: {listed(spare)}."
        )
    stems = sorted(expected)
    records = [_record(predictions / f"{stem}.json") for stem in stems]
    pairs = [
        LabelPair(predicted[s], expected[s], s, _outside(r)) for s, r in zip(stems, records, strict=True)
    ]
    images = [Path(r["input"]) if r else None for r in records]
    return PairedFolders(tuple(pairs), _classes(records, predictions), tuple(images), tuple(warnings))


def listed(names: list[str]) -> str:
    """Name the first few, and say how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _record(path: Path) -> dict[str, Any] | None:
    """Read what matters here of a record of `segment`; None where there is none."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        region = content["analysed_region"]
        return {
            "input": str(content["input"]),
            "shape": tuple(int(n) for n in content["shape"]),
            "rows": slice(*(int(n) for n in region["rows"])),
            "columns": slice(*(int(n) for n in region["columns"])),
            "mask": mask_path(path, content),
            "classes": tuple(str(c["name"]) for c in content["classes"]),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a record as 'micro-ktnet segment' writes it ({type(error).__name__}: {error}). "
            "It would say which pixels were analysed: segment again, or move it away to compare all pixels."
        ) from error


def _outside(record: dict[str, Any] | None) -> NDArray[np.bool_] | None:
    """Mark what is outside the analysed region."""
    if record is None:
        return None
    outside = ~analysed_pixels(record["shape"], record["rows"], record["columns"], record["mask"])
    return outside if outside.any() else None


def _classes(records: list[dict[str, Any] | None], folder: Path) -> tuple[str, ...]:
    named = {r["classes"] for r in records if r}
    if len(named) > 1:
        shown = "; ".join(sorted(", ".join(names) for names in named))
        raise DataError(
            f"The predictions in {folder} come from models with different classes ({shown}). Compare the "
            "predictions of one model at a time."
        )
    return named.pop() if named else ()


def as_pairs(
    prediction: Any, truth: Any, ignore: Any, pixel_size: Any
) -> tuple[list[LabelPair], tuple[str, ...], tuple[str, ...]]:
    """Bring the arguments of `evaluate` to pairs.

    Returns
    -------
    pairs : list of LabelPair
        One for each image.
    classes, warnings : tuple of str
        See `PairedFolders`.

    Raises
    ------
    InputError, DataError
        There are not as many of one as of the other.
    """
    classes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if all(isinstance(s, (str, os.PathLike)) and Path(s).is_dir() for s in (prediction, truth)):
        folders = pair_folders(Path(prediction), Path(truth))
        pairs, classes, warnings = list(folders.pairs), folders.classes, folders.warnings
        if ignore is not None:
            raise InputError("Ignored pixels cannot be given for folders. Give lists of files instead.")
    elif isinstance(prediction, (list, tuple)) and isinstance(truth, (list, tuple)):
        if len(prediction) != len(truth):
            raise InputError(
                f"Found {len(prediction)} predictions and {len(truth)} truths. Expected as many of both."
            )
        sources = zip(prediction, truth, strict=True)
        pairs = [LabelPair(p, t, _name(t, f"image {i}")) for i, (p, t) in enumerate(sources, 1)]
    elif isinstance(prediction, (list, tuple)) or isinstance(truth, (list, tuple)):
        raise InputError("Prediction and truth must both be one image, or both be lists of images.")
    else:
        pairs = [LabelPair(prediction, truth, _name(truth, ""))]
        ignore = None if ignore is None else [ignore]
    ignored = _one_for_each(pairs, "ignore masks", ignore)
    several = pixel_size is not None and not np.isscalar(pixel_size[0])
    sizes = _one_for_each(pairs, "pixel sizes", pixel_size if several else [pixel_size] * len(pairs))
    found = zip(pairs, ignored, sizes, strict=True)
    pairs = [replace(p, ignore=p.ignore if i is None else i, pixel_size=size) for p, i, size in found]
    return pairs, classes, warnings


def _name(source: Any, otherwise: str) -> str:
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else otherwise


def _one_for_each(pairs: list[LabelPair], what: str, values: Any) -> list[Any]:
    if values is None:
        return [None] * len(pairs)
    if len(values) != len(pairs):
        raise InputError(f"Found {len(values)} {what} for {len(pairs)} images. Expected one for each.")
    return list(values)
