"""Annotated images, and the batches drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
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
from napari_micro_ktnet.training.config import AugmentConfig, TrainingConfig
from napari_micro_ktnet.training.losses import IGNORE

_REMEMBERED_PIXELS = 20_000
# Below this share of annotated pixels, a crop from anywhere would mostly hold none.
_SPARSE = 0.25


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
    rows : int or None
        Rows above the data bar; None = all.
    augment : AugmentConfig or None
        How much its crops are varied; None = as much as the settings of the run say.
    """

    name: str
    pixels: NDArray[np.generic]
    mask: NDArray[np.uint8]
    weight: float = 1.0
    pixel_size: tuple[float, float] | None = None
    rows: int | None = None
    augment: AugmentConfig | None = None

    def __post_init__(self) -> None:
        if self.pixels.shape != self.mask.shape or self.pixels.ndim != 2:
            raise DataError(
                f"{self.name}: the image has the shape {self.pixels.shape} and its mask {self.mask.shape}. "
                "Expected one (Y, X) shape for both."
            )

    @cached_property
    def places(self) -> dict[int, NDArray[np.intp]]:
        """Pixels ``(n, 2)`` of each class in the mask, matrix (0) too; a fixed random sample where many."""
        found = {}
        for value in np.flatnonzero(np.bincount(self.mask.ravel(), minlength=IGNORE + 1)[:IGNORE]):
            flat = np.flatnonzero(self.mask == value)
            if len(flat) > _REMEMBERED_PIXELS:
                flat = np.random.default_rng(0).choice(flat, _REMEMBERED_PIXELS, replace=False)
            found[int(value)] = np.stack(np.unravel_index(flat, self.mask.shape), axis=1)
        return found

    @property
    def labelled(self) -> list[NDArray[np.intp]]:
        """Pixels ``(n, 2)`` of each class besides matrix that the mask holds."""
        return [places for value, places in self.places.items() if value != 0]

    @cached_property
    def sparse(self) -> bool:
        """Whether only a small part is annotated."""
        return bool(np.count_nonzero(self.mask != IGNORE) < _SPARSE * self.mask.size)

    @cached_property
    def analysed(self) -> NDArray[np.bool_]:
        """Pixels ``(Y, X)`` that a model looks at: where only a small part is annotated, the others too."""
        inside: NDArray[np.bool_] = self.mask != IGNORE
        if not self.sparse:
            return inside
        inside = np.ones(self.mask.shape, bool)
        if self.rows is not None:
            inside[self.rows :] = False
        if self.pixels.dtype.kind == "f":
            inside &= np.isfinite(self.pixels)
        return inside

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels and mask, 64 hexadecimal digits."""
        found = hashlib.sha256()
        for array in (self.pixels, self.mask):
            found.update(f"{array.dtype.str} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def stretched(self, normalization: Normalization) -> NDArray[np.float16]:
        """Grey values ``(Y, X)`` as the network will see them, before mean and deviation."""
        # As in a prediction, or grey values would mean something else there.
        return find_stretch(self.pixels, normalization, self.analysed)(self.pixels).astype(np.float16)


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
        if not any(pair.labelled for pair in pairs):
            raise DataError(
                f"None of the {len(pairs)} masks labels any pixel, so there is nothing to learn. "
                "Label some agglomerates, or check that the right masks were chosen."
            )
        self.pairs = pairs
        self.images = [pair.stretched(normalization) for pair in pairs]
        weights = np.array([pair.weight for pair in pairs], float)
        self.shares = weights / weights.sum()
        self.config = config

    def batch(self, step: int, indices: Iterable[int] | None = None) -> tuple[Tensor, Tensor]:
        """Draw the batch of a step, or some of its crops.

        Parameters
        ----------
        step : int
            Counted from 1.
        indices : iterable of int, optional
            Which crops; all `batch_size` of them without it.

        Returns
        -------
        images : Tensor, (N, Y, X), float32
            Stretched, not yet normalised.
        masks : Tensor, (N, Y, X), uint8
        """
        wanted = range(self.config.batch_size) if indices is None else indices
        crops = [self._crop(np.random.default_rng((self.config.seed, step, i))) for i in wanted]
        return torch.stack([c[0] for c in crops]), torch.stack([c[1] for c in crops])

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        config = self.config
        index = int(rng.choice(len(self.pairs), p=self.shares))
        pair = self.pairs[index]
        y, x = self._centre(pair, rng)
        augment = pair.augment or config.augment
        low, high = augment.zoom
        magnification = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        image, mask = take_crop(self.images[index], pair.mask, (y, x), config.crop, magnification)
        return vary(image, mask, rng, augment)

    def _centre(self, pair: ImagePair, rng: np.random.Generator) -> tuple[int, int]:
        jitter = rng.integers(-self.config.crop // 3, self.config.crop // 3 + 1, 2)
        if rng.random() < self.config.foreground and pair.labelled:
            choices = pair.labelled
        elif pair.sparse and pair.places:
            choices = list(pair.places.values())
        else:
            return int(rng.integers(pair.mask.shape[0])), int(rng.integers(pair.mask.shape[1]))
        # Each class as often as the others, however rare its pixels are.
        places = choices[int(rng.integers(len(choices)))] if len(choices) > 1 else choices[0]
        y, x = places[rng.integers(len(places))] + jitter
        return int(y), int(x)
