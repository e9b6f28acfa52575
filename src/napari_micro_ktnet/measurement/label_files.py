"""Label files and arrays with what is known about their field: pixel size, analysed region, image."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_micro_ktnet.errors import DataError, InputError
from napari_micro_ktnet.measurement.agglomerates import check_labels
from napari_micro_ktnet.measurement.fields import LabelField
from napari_micro_ktnet.sem import SEMImage, grey_if_grey, read_sem
from napari_micro_ktnet.sem.folders import LABELS_ENDING, image_files

LabelSource = SEMImage | ArrayLike | str | os.PathLike[str]
ImageSource = SEMImage | ArrayLike | str | os.PathLike[str]
PixelSize = float | tuple[float, float] | None

_SAME = 0.01


def label_files(given: Path) -> list[Path]:
    """Give a label file, or those of a folder: all names that end in ``_labels``.

    Raises
    ------
    InputError
        A folder holds none, or two of one image, as the records beside them say.
    ReadError
        A folder cannot be looked into.
    """
    if not given.is_dir():
        return [given]
    inside = [p for p in image_files(given) if p.stem.endswith(LABELS_ENDING)]
    if not inside:
        raise InputError(
            f"The folder {given} holds no label file. Expected names ending in {LABELS_ENDING}.tif, as "
            "'micro-ktnet segment' writes them, or name the files themselves."
        )
    seen: dict[tuple[str, ...], Path] = {}
    for path in inside:
        origin = _origin(path)
        if origin and seen.setdefault(origin, path) is not path:
            raise InputError(
                f"{seen[origin].name} and {path.name} in {given} are labels of the same image, which would "
                "count twice. Move away the one that is not wanted, or name the files themselves."
            )
    return inside


def load_field(
    labels: LabelSource,
    pixel_size: PixelSize = None,
    image: ImageSource | None = None,
    analysed: NDArray[np.bool_] | None = None,
    name: str = "field",
) -> LabelField:
    """Read labels and gather what is known about their field.

    Parameters
    ----------
    labels : array, SEMImage or path
        ``(Y, X)``. Of an image that was read from a file the record beside that file counts, too.
    pixel_size : float or tuple of float, optional
        nm or ``(y, x)`` nm; counts where neither the label file, nor the record beside it, nor the image
        says it, or where that is only an estimate.
    image : array, SEMImage or path, optional
        Its data bar is left out.
    analysed : ndarray of bool, (Y, X), optional
        False where labels mean nothing, besides data bar and the region of the record.
    name : str
        For labels without a name of their own.

    Raises
    ------
    InputError
        Labels are no labels, shapes differ, or the pixel size is no positive number.
    ReadError, DataError
        A file cannot be read, or the record beside it is none.
    """
    path = _path_of(labels)
    source = read_sem(path) if path and not isinstance(labels, SEMImage) else labels
    record = _read_record(path) if path else None
    try:
        values = _values(source)
        found = [_own_size(source), record.pixel_size if record else None]
        mask = _masks(values.shape, analysed, record)
        grey = None
        if image is not None:
            picture = _grey(image, values.shape)
            grey = picture.pixels
            found.append(_own_size(picture))
            if picture.data_bar:
                mask = np.ones(values.shape, bool) if mask is None else mask.copy()
                mask[picture.analysed_rows.stop :] = False
        estimated = record is not None and record.estimated
        size, warnings = _choose([] if estimated and pixel_size is not None else found, pixel_size)
    except InputError as error:
        if path is None:
            raise
        raise InputError(f"{path}: {error}") from error
    if estimated and pixel_size is None:
        warnings.append(
            "The pixel size is only an estimate from the magnification; check it on the scale bar."
        )
    own = source.name.removesuffix(LABELS_ENDING) if isinstance(source, SEMImage) else ""
    return LabelField(values, own or name, str(path) if path else "", size, mask, grey, tuple(warnings))


def _path_of(labels: LabelSource) -> Path | None:
    if isinstance(labels, SEMImage):
        return labels.path
    return Path(labels) if isinstance(labels, (str, os.PathLike)) else None


def record_path(path: Path) -> Path | None:
    """Where `micro-ktnet segment` leaves its record of a label file; None if it is not one of its."""
    if not path.stem.endswith(LABELS_ENDING):
        return None
    return path.with_name(f"{path.stem.removesuffix(LABELS_ENDING)}.json")


def is_estimated(path: Path) -> bool:
    """Whether the pixel size in a label file of `segment` is an estimate, as the record beside it says."""
    record = _read_record(path)
    return record is not None and record.estimated


def _origin(path: Path) -> tuple[str, ...]:
    """Which image a label file is of, as the record beside it says; empty where it does not."""
    where = record_path(path)
    if where is None or not where.is_file():
        return ()
    try:
        content = json.loads(where.read_bytes())
        return tuple(str(content[name]) for name in ("input_sha256", "image", "slice_index"))
    except (ValueError, KeyError, TypeError):
        # What is wrong with it is said when the labels are read.
        return ()


@dataclass(frozen=True)
class _Record:
    path: Path
    shape: tuple[int, int]
    rows: slice
    columns: slice
    mask: Path | None
    pixel_size: tuple[float, float] | None
    estimated: bool


def _read_record(path: Path) -> _Record | None:
    where = record_path(path)
    if where is None or not where.is_file():
        return None
    try:
        content = json.loads(where.read_bytes())
        region, size = content["analysed_region"], content["pixel_size_nm"]
        return _Record(
            where,
            (int(content["shape"][0]), int(content["shape"][1])),
            slice(*(int(n) for n in region["rows"])),
            slice(*(int(n) for n in region["columns"])),
            mask_path(where, content),
            (float(size[0]), float(size[1])) if size else None,
            content["pixel_size_source"] == "estimated",
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{where} is not a record as 'micro-ktnet segment' writes it ({type(error).__name__}: {error}). "
            "It would say which pixels were analysed: segment again, or move it away to measure all pixels."
        ) from error


def _values(source: Any) -> NDArray[Any]:
    if isinstance(source, SEMImage):
        if source.rgb:
            raise InputError("The labels are a coloured image, expected one integer for every pixel.")
        source = source.pixels
    values = check_labels(source)
    if _looks_grey(values):
        raise InputError(
            "The labels look like a grey image: they are everywhere and change from pixel to pixel. Expected "
            "labels (0 = matrix); segment the image first."
        )
    return values


def _looks_grey(values: NDArray[Any]) -> bool:
    """Whether these are grey values: few are 0, and most neighbours differ."""
    left, right = values[:, :-1], values[:, 1:]
    both = (left != 0) & (right != 0)
    count = np.count_nonzero(both)
    return bool(count > values.size / 2 and np.count_nonzero((left != right) & both) > count / 2)


def _own_size(source: Any) -> tuple[float, float] | None:
    # An estimate, such as from the print size of a picture, would make wrong micrometres.
    if isinstance(source, SEMImage) and source.pixel_size_source != "estimated":
        return source.pixel_size
    return None


def _masks(
    shape: tuple[int, ...], analysed: NDArray[np.bool_] | None, record: _Record | None
) -> NDArray[np.bool_] | None:
    mask = None if analysed is None else np.asarray(analysed, bool)
    if mask is not None and mask.shape != shape:
        raise InputError(
            f"The labels have the shape {shape} and the mask of the analysed region {mask.shape}. "
            "Expected the same (Y, X) for both."
        )
    if record is None:
        return mask
    if record.shape != shape:
        raise InputError(
            f"The labels have the shape {shape}, but the record {record.path} beside them is of "
            f"{record.shape}. Move away the one that does not belong."
        )
    region = analysed_pixels(record.shape, record.rows, record.columns, record.mask)
    if region.all():
        return mask
    return region if mask is None else region & mask


def mask_path(record: Path, content: dict[str, Any]) -> Path | None:
    """Where the mask of the analysed pixels lies that a record of `segment` names; None if it names none."""
    name = str(content.get("analysed_mask", ""))
    # Only beside the record, wherever its text may point to.
    return record.with_name(Path(name).name) if name else None


def analysed_pixels(
    shape: tuple[int, int], rows: slice, columns: slice, mask: Path | None
) -> NDArray[np.bool_]:
    """Give the pixels ``(Y, X)`` that a record of `segment` says were analysed.

    Raises
    ------
    ReadError, DataError
        The mask cannot be read, or is of another shape.
    """
    region = np.zeros(shape, bool)
    region[rows, columns] = True
    if mask is not None:
        inside = read_sem(mask).pixels
        if inside.shape != shape:
            raise DataError(f"{mask} has the shape {inside.shape}, expected that of the labels, {shape}.")
        region &= np.asarray(inside) > 0
    return region


def _grey(image: ImageSource, shape: tuple[int, ...]) -> SEMImage:
    if isinstance(image, (str, os.PathLike)):
        image = read_sem(image)
    if not isinstance(image, SEMImage):
        pixels = np.asarray(image)
        image = SEMImage(pixels, rgb=pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
    pixels, coloured = grey_if_grey(image.pixels) if image.rgb else (image.pixels, False)
    pixels = np.asarray(pixels)
    if coloured or pixels.dtype.kind not in "buif":
        raise InputError("The image has no grey values. Expected a grey SEM image.")
    if pixels.shape != shape:
        raise InputError(
            f"The image{f' {image.name}' if image.name else ''} has the shape {pixels.shape} and the labels "
            f"{shape}. Expected the same (Y, X) for both."
        )
    return SEMImage(
        pixels, image.pixel_size, image.pixel_size_source, image.metadata, image.data_bar, image.path
    )


def _choose(
    found: list[tuple[float, float] | None], given: PixelSize
) -> tuple[tuple[float, float] | None, list[str]]:
    wanted = _as_pair(given)
    known = next((size for size in found if size is not None), None)
    if known is None or wanted is None:
        return known or wanted, []
    if all(abs(a / b - 1) <= _SAME for a, b in zip(known, wanted, strict=True)):
        return known, []
    return known, [
        f"The file says that a pixel is {known[0]:g} x {known[1]:g} nm; the {wanted[0]:g} x {wanted[1]:g} nm "
        "given are not used."
    ]


def _as_pair(given: PixelSize) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        pair = (float(given), float(given)) if np.isscalar(given) else tuple(map(float, given))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        pair = ()
    if len(pair) != 2 or not all(math.isfinite(size) and size > 0 for size in pair):
        raise InputError(
            f"The pixel size is {given!r}, expected a number above 0 in nm, or two of them (y, x)."
        )
    return pair[0], pair[1]
