"""From what a caller hands over to a measurement: arrays, images or files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.agglomerates import Border, ObjectOptions
from napari_micro_ktnet.measurement.fields import D_STAR_UM, MeasureOptions, measure_field
from napari_micro_ktnet.measurement.label_files import (
    ImageSource,
    LabelSource,
    PixelSize,
    label_files,
    load_field,
)
from napari_micro_ktnet.measurement.limits import Limits, read_limits
from napari_micro_ktnet.measurement.pooled import Measurement, pool
from napari_micro_ktnet.sem import SEMImage


def measure(
    labels: LabelSource | Sequence[LabelSource],
    pixel_size: PixelSize | list[PixelSize] = None,
    *,
    image: ImageSource | Sequence[ImageSource] | None = None,
    analysed: NDArray[np.bool_] | None = None,
    split: float | None = None,
    min_size_um: float | None = None,
    min_size_px: float | None = None,
    fill_holes: bool = False,
    border: Border = "keep",
    d_star_um: float | None = None,
    limits: Limits | str | os.PathLike[str] | None = None,
    ripley: bool = False,
    seed: int = 0,
) -> Measurement:
    """Measure the agglomerates of one field of view or of several.

    Neighbouring pixels of the same label, diagonal ones too, are one object.

    Parameters
    ----------
    labels : array of int or bool (Y, X), SEMImage, path, or a list of these
        0 is matrix. A folder stands for its ``*_labels`` files. Beside ``<stem>_labels.tif`` the record
        ``<stem>.json`` that `micro-ktnet segment` writes is read for the analysed region.
    pixel_size : float, (y, x) tuple, or a list with one of them or None for each field; optional
        nm, where the label file itself does not say it.
    image : array (Y, X), SEMImage, path, or a list of these; optional
        For the mean grey value of objects. A data bar that it has is left out, and its pixel size is used
        where the labels have none.
    analysed : ndarray of bool, (Y, X), optional
        False where labels mean nothing; for all fields.
    split : float, optional
        Separate touching objects at necks, from this depth in pixels; see
        `measurement.agglomerates.split_objects`.
    min_size_um, min_size_px : float, optional
        Drop objects of a smaller equivalent circular diameter.
    fill_holes : bool
        Holes count as part of the object around them.
    border : {"keep", "exclude", "weight"}
        What objects at the edge mean for sizes and counts; see `measurement.region.border_weights`. The
        area fraction always holds them.
    d_star_um : float, optional
        d* of the agglomerate degree: that of the limits, else 5 um.
    limits : Limits or path, optional
        Limits of the lab (TOML) for a verdict.
    ripley : bool
        Give Ripley's L(r) of every field, too.
    seed : int
        Of the random draws (bootstrap, envelope).

    Returns
    -------
    Measurement
        ``.to_dict()`` for JSON, ``.to_csv()`` and ``.fields[i].table`` for the objects.

    Raises
    ------
    InputError
        Labels are no labels, shapes or numbers of inputs differ, an option is out of range, or the limits
        file is wrong.
    ReadError, DataError
        A file cannot be read, or the record beside it is none.
    """
    if isinstance(limits, (str, os.PathLike)):
        limits = read_limits(limits)
    if d_star_um is None:
        d_star_um = (limits.d_star_um if limits else None) or D_STAR_UM
    objects = ObjectOptions(split, min_size_um, min_size_px, fill_holes, border)
    options = MeasureOptions(objects, d_star_um, ripley, seed)
    sources = [each for given in _as_list(labels) for each in _expanded(given)]
    sizes = pixel_size if isinstance(pixel_size, list) else [pixel_size] * len(sources)
    images = [None] * len(sources) if image is None else _as_list(image)
    for what, given in (("pixel sizes", sizes), ("images", images)):
        if len(given) != len(sources):
            raise InputError(
                f"{len(given)} {what} were given for {len(sources)} label images. Give one for each."
            )
    fields = []
    for number, (source, size, grey) in enumerate(zip(sources, sizes, images, strict=True), 1):
        field = load_field(source, size, grey, analysed, f"field {number}")
        fields.append(measure_field(field, options))
    return pool(fields, options, limits)


def _expanded(given: Any) -> list[Any]:
    """Label files of a folder; anything else as it is."""
    if isinstance(given, (str, os.PathLike)) and Path(given).is_dir():
        return list(label_files(Path(given)))
    return [given]


def _as_list(given: Any) -> list[Any]:
    single = isinstance(given, (str, os.PathLike, SEMImage, np.ndarray))
    if single or not isinstance(given, (list, tuple)):
        return [given]
    # A list of rows of numbers is an image, too.
    rows = given and isinstance(given[0], (list, tuple)) and np.isscalar(given[0][0] if given[0] else None)
    return [given] if rows else list(given)
