"""Annotated images, and the batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.training.augment import take_crop, vary
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.losses import IGNORE

_REMEMBERED_PIXELS = 20_000


@dataclass(frozen=True, eq=False)
class ImagePair:
    """An image and its annotation.

    Attributes
    ----------
    name : str
        For messages and records.
    pixels : ndarray of real numbers, (Y, X)
        Grey values as read.
    mask : ndarray of uint8, (Y, X)
        Classes from 0 (matrix), 255 = not annotated (data bar too).
    weight : float
        How often crops come from this image, relative to the others.
    pixel_size : tuple of float or None
        Pixel size ``(y, x)`` in nm.
    """

    name: str
    pixels: NDArray[np.generic]
    mask: NDArray[np.uint8]
    weight: float = 1.0
    pixel_size: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.pixels.shape != self.mask.shape or self.pixels.ndim != 2:
            raise DataError(
                f"{self.name}: the image has the shape {self.pixels.shape} and its mask {self.mask.shape}. "
                "Expected one (Y, X) shape for both."
            )

    @cached_property
    def labelled(self) -> NDArray[np.intp]:
        """Pixels ``(n, 2)`` of labelled classes; a fixed random sample of them where many."""
        found = np.flatnonzero((self.mask != 0) & (self.mask != IGNORE))
        if len(found) > _REMEMBERED_PIXELS:
            found = np.random.default_rng(0).choice(found, _REMEMBERED_PIXELS, replace=False)
        return np.stack(np.unravel_index(found, self.mask.shape), axis=1)

    def stretched(self, normalization: Normalization) -> NDArray[np.float16]:
        """Grey values ``(Y, X)`` as the network will see them, before mean and deviation."""
        inside = self.mask != IGNORE
        return find_stretch(self.pixels, normalization, inside)(self.pixels).astype(np.float16)


class CropSampler:
    """Draws batches of varied crops; batch `step` is the same whenever it is drawn.

    Parameters
    ----------
    pairs : sequence of ImagePair
        Annotated images.
    normalization : Normalization
        How grey values are stretched.
    config : TrainingConfig
        Crop size, batch size, variation and seed.

    Raises
    ------
    DataError
        There is no image, or nothing is annotated.
    """

    def __init__(
        self, pairs: Sequence[ImagePair], normalization: Normalization, config: TrainingConfig
    ) -> None:
        if not pairs:
            raise DataError("There is no training image. Give at least one image with its mask.")
        if not any(len(pair.labelled) for pair in pairs):
            raise DataError(
                f"None of the {len(pairs)} masks labels any pixel, so there is nothing to learn. "
                "Label some agglomerates, or check that the right masks were chosen."
            )
        self.pairs = pairs
        self.images = [pair.stretched(normalization) for pair in pairs]
        weights = np.array([pair.weight for pair in pairs], float)
        self.shares = weights / weights.sum()
        self.config = config

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Draw the batch of a step.

        Returns
        -------
        images : Tensor, (N, Y, X), float32
            Stretched, not yet normalised.
        masks : Tensor, (N, Y, X), uint8
        """
        crops = [
            self._crop(np.random.default_rng((self.config.seed, step, i)))
            for i in range(self.config.batch_size)
        ]
        return torch.stack([c[0] for c in crops]), torch.stack([c[1] for c in crops])

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        config = self.config
        index = int(rng.choice(len(self.pairs), p=self.shares))
        pair = self.pairs[index]
        jitter = rng.integers(-config.crop // 3, config.crop // 3 + 1, 2)
        if rng.random() < config.foreground and len(pair.labelled):
            y, x = pair.labelled[rng.integers(len(pair.labelled))] + jitter
        else:
            y, x = (rng.integers(n) for n in pair.mask.shape)
        low, high = config.augment.zoom
        magnification = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        image, mask = take_crop(self.images[index], pair.mask, (int(y), int(x)), config.crop, magnification)
        return vary(image, mask, rng, config.augment)
