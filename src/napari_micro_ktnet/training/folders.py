"""Annotated images from folders: pairing by name, masks of any common kind, held-back images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.model.spec import AGGLOMERATE, LabelClass
from napari_micro_ktnet.predict.inputs import as_grey_image
from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.sem.masks import Colors, files_by_stem, mask_values
from napari_micro_ktnet.sem.reader import SUFFIXES
from napari_micro_ktnet.training.config import Annotation
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

_PALETTE = ("#ffd400", "#1f9bff", "#ff4d4d", "#3fc060", "#b05bff", "#ff9d2e", "#20c8c8", "#d04090")


@dataclass(frozen=True)
class AnnotatedFolder:
    """Images with masks, and the classes found in them.

    Attributes
    ----------
    pairs : tuple of ImagePair
        Sorted by name.
    classes : tuple of LabelClass
        Label value 1 is the first.
    """

    pairs: tuple[ImagePair, ...]
    classes: tuple[LabelClass, ...]


def read_folder(
    images: str | Path,
    masks: str | Path,
    colors: Colors | None = None,
    annotation: Annotation = "full",
    class_names: Sequence[str] = (),
    *,
    several: bool = False,
) -> AnnotatedFolder:
    """Read a folder of images and a folder of masks.

    Parameters
    ----------
    images, masks : path
        Folders. Files belong together when their stems are equal, ``_mask`` and ``_labels`` at
        the end ignored.
    colors : mapping of str to (red, green, blue), optional
        Class names and their colours in RGB masks; any other colour is 0.
    annotation : {"full", "scribbles"}
        Full: 0 is matrix. Scribbles: 0 is not annotated, 1 (in RGB masks: the colour named
        ``matrix``) is matrix, and the classes follow.
    class_names : sequence of str, optional
        Names of the classes besides matrix; made up where there are several and none is given.
    several : bool
        Values are class numbers even where there are only two of them.

    Returns
    -------
    AnnotatedFolder
        Where full masks hold 0 and one other value, that is class 1; where they hold more, values
        are class numbers. The data bar of an image is not annotated.

    Raises
    ------
    DataError
        Files do not pair, differ in size, or a mask cannot be understood; all names are given.
    """
    found = pair_files(Path(images), Path(masks))
    if colors and annotation == "scribbles":
        # Matrix is number 1 there, wherever it was named.
        colors = {"matrix": _matrix_color(colors)} | dict(colors)
    raw = [(image, mask, mask_values(read_sem(mask), colors)) for image, mask in found]
    if annotation == "scribbles":
        _check_scribbles([(mask.name, values) for _, mask, values in raw])
        raw = [(i, m, np.where(v == 0, IGNORE, v - 1).astype(np.uint8)) for i, m, v in raw]
    elif (
        not (colors or several)
        and len({int(v) for _, _, values in raw for v in np.unique(values)} - {0}) <= 1
    ):
        raw = [(i, m, (v != 0).astype(np.uint8)) for i, m, v in raw]
    count = max(int(v[v != IGNORE].max(initial=0)) for _, _, v in raw)
    named = [name for name in colors if annotation == "full" or name != "matrix"] if colors else ()
    classes = name_classes(max(count, len(named), 1), class_names or named)
    return AnnotatedFolder(tuple(_pair(*entry) for entry in raw), classes)


def name_classes(count: int, names: Sequence[str] = ()) -> tuple[LabelClass, ...]:
    """Give classes names and colours.

    Parameters
    ----------
    count : int
        Classes besides matrix.
    names : sequence of str, optional
        Their names, as many as there are classes or more.

    Raises
    ------
    DataError
        There are fewer names than classes.
    """
    if count == 1 and not names:
        return (AGGLOMERATE,)
    if names and len(names) < count:
        raise DataError(
            f"The masks hold {count} classes besides matrix, but {len(names)} names were given "
            f"({', '.join(names)}). Name every class."
        )
    names = names or [f"class {i}" for i in range(1, count + 1)]
    return tuple(LabelClass(name=n, color=_PALETTE[i % len(_PALETTE)]) for i, n in enumerate(names))


def _matrix_color(colors: Colors) -> tuple[int, int, int]:
    if "matrix" not in colors:
        raise DataError(
            f"With scribbles one of the colours must be named 'matrix'; found {', '.join(colors)}. "
            "Say --mask-colors matrix=R,G,B NAME=R,G,B ..."
        )
    return colors["matrix"]


def _check_scribbles(masks: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
    values = sorted({int(v) for _, mask in masks for v in np.unique(mask)})
    if not any(value >= 2 for value in values) or 1 not in values:
        raise DataError(
            f"The scribbles hold the values {values}. Expected 1 for matrix and 2 and up for the classes "
            "(0 = not annotated). For masks in which 0 is matrix say --annotation full."
        )


def pair_files(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Pair image files with mask files by stem; see `read_folder`."""
    left, right = files_by_stem(images, "image"), files_by_stem(masks, "mask")
    lonely = [left[s].name for s in left if s not in right]
    spare = [right[s].name for s in right if s not in left]
    if not left or lonely:
        shown = ", ".join(lonely[:5]) + (" and more" if len(lonely) > 5 else "")
        unused = f" Masks without an image: {', '.join(spare[:5])}." if spare else ""
        raise DataError(
            (
                f"{len(lonely)} of {len(left)} images in {images} have no mask in {masks}: {shown}."
                if left
                else f"There is no image in {images} ({', '.join(SUFFIXES)})."
            )
            + unused
            + " A mask has the name of its image, with or without '_mask' or '_labels' at the end."
        )
    return [(left[s], right[s]) for s in sorted(left)]


def _pair(image: Path, mask: Path, values: NDArray[np.uint8]) -> ImagePair:
    sem = as_grey_image(image)
    if sem.pixels.shape != values.shape:
        raise DataError(
            f"{image.name} has the shape {sem.pixels.shape} and its mask {mask.name} {values.shape}. "
            "Expected one (Y, X) shape for both."
        )
    values = values.copy()
    values[sem.analysed_rows.stop :] = IGNORE
    if sem.pixels.dtype.kind == "f":
        values[~np.isfinite(sem.pixels)] = IGNORE
    return ImagePair(image.name, sem.pixels, values, pixel_size=sem.pixel_size, rows=sem.analysed_rows.stop)
