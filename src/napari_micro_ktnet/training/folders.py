"""Annotated images from folders: pairing by name, masks of any common kind, held-back images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.model.spec import AGGLOMERATE, LabelClass
from napari_micro_ktnet.predict.inputs import as_grey_image
from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.sem.reader import SUFFIXES
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

_MASK_SUFFIX = re.compile(r"(_masks?|_labels?)$", re.IGNORECASE)
_MOST_CLASSES = 20
_PALETTE = ("#ffd400", "#1f9bff", "#ff4d4d", "#3fc060", "#b05bff", "#ff9d2e", "#20c8c8", "#d04090")

Colors = Mapping[str, tuple[int, int, int]]


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


def read_folder(images: str | Path, masks: str | Path, colors: Colors | None = None) -> AnnotatedFolder:
    """Read a folder of images and a folder of masks.

    Parameters
    ----------
    images, masks : path
        Folders. Files belong together when their stems are equal, ``_mask`` and ``_labels`` at
        the end ignored.
    colors : mapping of str to (red, green, blue), optional
        Class names and their colours in RGB masks; any other colour is matrix.

    Returns
    -------
    AnnotatedFolder
        A two-valued mask's nonzero pixels are class 1; a mask with more values holds class
        numbers. The data bar of an image is not annotated.

    Raises
    ------
    DataError
        Files do not pair, differ in size, or a mask cannot be understood; all names are given.
    """
    found = pair_files(Path(images), Path(masks))
    raw = [(image, mask, _mask_values(mask, colors)) for image, mask in found]
    if colors:
        names = list(colors)
    else:
        several = any(len(np.unique(values)) > 2 for _, _, values in raw)
        top = max(int(values.max()) for _, _, values in raw) if several else 1
        names = [f"class {i}" for i in range(1, top + 1)] if several else []
        raw = [(i, m, v if several else (v != 0).astype(np.uint8)) for i, m, v in raw]
    classes = tuple(
        LabelClass(name=name, color=_PALETTE[i % len(_PALETTE)]) for i, name in enumerate(names)
    ) or (AGGLOMERATE,)
    return AnnotatedFolder(tuple(_pair(*entry) for entry in raw), classes)


def pair_files(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Pair image files with mask files by stem; see `read_folder`."""
    left, right = _by_stem(images, "image"), _by_stem(masks, "mask")
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


def _by_stem(folder: Path, kind: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"The {kind} folder {folder} does not exist. Give a folder with {kind} files.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        stem = _MASK_SUFFIX.sub("", path.stem)
        if stem in found:
            raise DataError(
                f"{found[stem].name} and {path.name} in {folder} have the same stem {stem!r}, so it is not "
                f"clear which {kind} is meant. Keep one of them."
            )
        found[stem] = path
    return found


def _mask_values(path: Path, colors: Colors | None) -> NDArray[np.uint8]:
    """Class numbers (or the two values) of a mask file, ``(Y, X)``."""
    mask = read_sem(path)
    if mask.rgb:
        if not colors:
            shown = np.unique(mask.pixels[..., :3].reshape(-1, 3), axis=0)[:4].tolist()
            raise DataError(
                f"The mask {path.name} is in colour (e.g. {shown}), but no colours were named. Say which "
                "class has which: --mask-colors NAME=R,G,B ... (any other colour is matrix)."
            )
        values: NDArray[np.uint8] = np.zeros(mask.pixels.shape[:2], np.uint8)
        for number, color in enumerate(colors.values(), 1):
            values[(mask.pixels[..., :3] == color).all(axis=-1)] = number
        return values
    if mask.pixels.ndim != 2:
        raise DataError(f"The mask {path.name} has the shape {mask.pixels.shape}; expected one image (Y, X).")
    present = np.unique(mask.pixels)
    if len(present) > 2 and (len(present) > _MOST_CLASSES or present[0] < 0 or present[-1] >= IGNORE):
        raise DataError(
            f"The mask {path.name} holds {len(present)} values from {present[0]} to {present[-1]}. Expected "
            f"0 and one other value, or class numbers from 0 to at most {_MOST_CLASSES}. A mask saved as "
            "JPEG or smoothed has values in between: export it again as PNG or TIFF without interpolation."
        )
    if len(present) <= 2:
        return np.asarray(mask.pixels != 0, np.uint8)
    return np.asarray(mask.pixels, np.uint8)


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
    return ImagePair(image.name, sem.pixels, values, pixel_size=sem.pixel_size)


def hold_back(
    pairs: Sequence[ImagePair], share: float = 0.2, seed: int = 0
) -> tuple[list[ImagePair], list[ImagePair]]:
    """Split annotated images into training and validation, never one image into both.

    Parameters
    ----------
    pairs : sequence of ImagePair
        At least one. A single image is cut: its lower part, below a gap, validates.
    share : float
        Share of images (of rows) to hold back, at least one image.
    seed : int
        Decides which images.

    Returns
    -------
    training, validation : list of ImagePair
    """
    if len(pairs) == 1:
        return _cut(pairs[0], share)
    order = np.random.default_rng(seed).permutation(len(pairs))
    count = max(1, round(share * len(pairs)))
    # An image that labels nothing cannot tell a good model from a bad one.
    useful = [int(i) for i in order if len(pairs[i].labelled)] or [int(i) for i in order]
    back = set(useful[:count])
    return [p for i, p in enumerate(pairs) if i not in back], [pairs[i] for i in sorted(back)]


def _cut(pair: ImagePair, share: float) -> tuple[list[ImagePair], list[ImagePair]]:
    height = pair.mask.shape[0]
    first = round(height * (1 - share))
    gap = min(32, first // 4)
    upper = ImagePair(
        f"{pair.name} (upper)",
        pair.pixels[: first - gap],
        pair.mask[: first - gap],
        pixel_size=pair.pixel_size,
    )
    lower = ImagePair(
        f"{pair.name} (lower)", pair.pixels[first:], pair.mask[first:], pixel_size=pair.pixel_size
    )
    if first < 64 or not len(lower.labelled) or not len(upper.labelled):
        raise DataError(
            f"There is only one image ({pair.name}), and it cannot be divided into a part to train on and a "
            "part to validate on that both hold labels. Add an annotated image, or give validation images."
        )
    return [upper], [lower]
