"""Micrographs in one folder for each class: finding, holding back, reading, and drawing crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_micro_ktnet.errors import DataError, InputError
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.inputs import as_grey_image
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.sem.reader import SUFFIXES
from napari_micro_ktnet.training.augment import take_crop, vary
from napari_micro_ktnet.training.pretrain_config import PretrainConfig

# Class name -> image files, both sorted by name. The position of a class is its number.
ClassFiles = Mapping[str, Sequence[Path]]

CACHE_BYTES = 2 << 30


def find_classes(folder: Path) -> dict[str, list[Path]]:
    """List the images in the subfolders of a folder.

    Parameters
    ----------
    folder : Path
        One subfolder for each class, with images directly inside it.

    Returns
    -------
    dict of str to list of Path
        See `ClassFiles`.

    Raises
    ------
    DataError
        There are fewer than two classes, or fewer than two images in one of them.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}. Give a folder with one subfolder for each class.")
    found = {
        path.name: sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and f.name[0] != ".")
        for path in sorted(folder.iterdir())
        if path.is_dir() and path.name[0] != "."
    }
    if len(found) < 2:
        have = f"only one subfolder ({next(iter(found))})" if found else "no subfolder"
        raise DataError(
            f"{folder} has {have}. Expected one subfolder of micrographs for each class, two or more: "
            "an encoder learns by telling classes apart."
        )
    check_counts(found)
    return found


def check_counts(classes: ClassFiles) -> None:
    """Raise unless each class has an image to learn from and one to hold back.

    Raises
    ------
    DataError
        The classes are named.
    """
    small = [f"{name} ({len(files)})" for name, files in classes.items() if len(files) < 2]
    if small:
        raise DataError(
            f"These classes have fewer than 2 usable images ({', '.join(SUFFIXES)}): {', '.join(small)}. "
            "Expected one to learn from and one to hold back at least: add images or remove the folder."
        )


def hold_back_of_each(
    classes: ClassFiles, share: float, seed: int
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Hold back the same share of every class, at least one image, and leave at least one.

    Parameters
    ----------
    classes : ClassFiles
        Two images or more in each.
    share : float
        To hold back, 0 to 1.
    seed : int
        Decides which.

    Returns
    -------
    training, validation : dict of str to list of Path
    """
    training, validation = {}, {}
    for number, (name, files) in enumerate(classes.items()):
        count = min(max(1, round(share * len(files))), len(files) - 1)
        # Steps count from 1, so that no crop is drawn from these numbers.
        chosen = set(np.random.default_rng((seed, 0, number)).permutation(len(files))[:count].tolist())
        training[name] = [f for i, f in enumerate(files) if i not in chosen]
        validation[name] = [f for i, f in enumerate(files) if i in chosen]
    return training, validation


class GreyImages:
    """Stretched grey values of image files, read when asked for; the first ones are kept in memory.

    Parameters
    ----------
    normalization : Normalization
        How grey values are stretched.
    budget : int
        Bytes to keep. What comes first stays: images are drawn at random, so no other choice would
        save more reading.
    """

    def __init__(self, normalization: Normalization, budget: int = CACHE_BYTES) -> None:
        self._normalization = normalization
        self._left = budget
        self._kept: dict[Path, NDArray[np.float16]] = {}

    def __getitem__(self, path: Path) -> NDArray[np.float16]:
        """Read the part above the data bar, ``(Y, X)``, stretched to about 0..1.

        Raises
        ------
        ReadError
            The file cannot be read.
        InputError
            It holds no single grey image.
        """
        if path in self._kept:
            return self._kept[path]
        image = as_grey_image(path)
        if image.pixels.ndim != 2:
            raise InputError(f"The file holds a stack {image.pixels.shape}, expected one image (Y, X).")
        pixels = image.pixels[image.analysed_rows]
        grey = find_stretch(pixels, self._normalization)(pixels).astype(np.float16)
        if grey.nbytes <= self._left:
            self._left -= grey.nbytes
            self._kept[path] = grey
        return grey


class ClassSampler:
    """Draws batches of varied crops; batch `step` is the same whenever it is drawn.

    Parameters
    ----------
    classes : ClassFiles
        Images to draw from.
    images : GreyImages
        Their pixels.
    config : PretrainConfig
        Crop size, batch size, variation and seed.
    """

    def __init__(self, classes: ClassFiles, images: GreyImages, config: PretrainConfig) -> None:
        self._files, self._images, self._config = list(classes.values()), images, config

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Draw the batch of a step, counted from 1; each class as often as the others on average.

        Returns
        -------
        images : Tensor, (N, Y, X), float32
            Stretched, not yet normalised.
        classes : Tensor, (N,), int64
        """
        indices = range(self._config.batch_size)
        crops = [self._crop(np.random.default_rng((self._config.seed, step, i))) for i in indices]
        return torch.stack([c[0] for c in crops]), torch.tensor([c[1] for c in crops])

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, int]:
        number = int(rng.integers(len(self._files)))
        files = self._files[number]
        grey = self._images[files[int(rng.integers(len(files)))]]
        centre = int(rng.integers(grey.shape[0])), int(rng.integers(grey.shape[1]))
        low, high = self._config.augment.zoom
        magnification = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        nothing = np.zeros(grey.shape, np.uint8)
        crop, mask = take_crop(grey, nothing, centre, self._config.crop, magnification)
        return vary(crop, mask, rng, self._config.augment)[0], number


def plain_crops(grey: NDArray[np.float16], crop: int) -> Tensor:
    """Cut up to 2 x 2 crops spread over an image, without variation.

    Parameters
    ----------
    grey : ndarray, (Y, X)
        Stretched grey values.
    crop : int
        Side in pixels.

    Returns
    -------
    Tensor, (N, crop, crop), float32
    """
    rows, columns = (_centres(length, crop) for length in grey.shape)
    nothing = np.zeros(grey.shape, np.uint8)
    return torch.stack([take_crop(grey, nothing, (y, x), crop, 1.0)[0] for y in rows for x in columns])


def _centres(length: int, crop: int) -> list[int]:
    count = 1 if length <= crop else 2
    return [(2 * i + 1) * length // (2 * count) for i in range(count)]
