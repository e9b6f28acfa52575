"""Layers that hold labels: what is in them, which image they belong to, what was not analysed."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_micro_ktnet.gui import layers as convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_micro_ktnet.sem import SEMImage

_NAME_END = re.compile(
    r"( \[.*\]|[ _-](masks?|labels?|annotation|corrected|truth|ground|gt)|\.(tiff?|png|jpe?g|bmp))+$",
    re.IGNORECASE,
)
_COUNTED = 1 << 16
_OUTCOMES = {"errors_of", "agglomerates_of", "preview_of"}


@dataclass(frozen=True)
class LabelFacts:
    """What the checks need to know about the labels of a layer.

    Attributes
    ----------
    dtype : dtype
        Type of the pixels.
    shape : tuple of int
        ``(Y, X)`` or more.
    values : tuple of int
        Labels that occur, sorted, 0 left out; not looked for where pixels are lazy or no integers.
    lowest : int
        0 or the most negative label.
    looked : bool
        Whether `values` were looked for.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    values: tuple[int, ...] = ()
    lowest: int = 0
    looked: bool = False

    def without(self, label: int | None) -> tuple[int, ...]:
        """Labels that occur besides one."""
        return tuple(v for v in self.values if v != label)


def look_at(layer: Layer) -> LabelFacts:
    """Find the facts of a layer; takes some 50 ms for 16 million pixels."""
    pixels = convert.full_data(layer)
    shape = tuple(int(n) for n in pixels.shape)
    if not isinstance(pixels, np.ndarray) or pixels.dtype.kind not in "bui" or pixels.size == 0:
        return LabelFacts(pixels.dtype, shape)
    lowest, highest = int(pixels.min()), int(pixels.max())
    if lowest < 0:
        return LabelFacts(pixels.dtype, shape, (), lowest, True)
    few = highest < _COUNTED
    found = np.flatnonzero(np.bincount(pixels.ravel())) if few else np.unique(pixels)
    return LabelFacts(pixels.dtype, shape, tuple(int(v) for v in found if v), 0, True)


class KnownFacts:
    """Facts of layers, looked for again only where the pixels are others."""

    def __init__(self) -> None:
        self._facts: dict[Layer, tuple[Any, LabelFacts]] = {}

    def of(self, layer: Layer) -> LabelFacts:
        """Give the facts of a layer."""
        pixels = convert.full_data(layer)
        known = self._facts.get(layer)
        if known is None or known[0] is not pixels:
            known = self._facts[layer] = (pixels, look_at(layer))
        return known[1]

    def forget(self, layer: Layer) -> None:
        """Look at a layer again, or drop it: it was changed or deleted."""
        self._facts.pop(layer, None)

    def keep(self, layers: Iterable[Layer]) -> None:
        """Drop all other layers."""
        kept = set(layers)
        for layer in [x for x in self._facts if x not in kept]:
            self.forget(layer)


def record_of(layer: Layer | None) -> dict[str, Any]:
    """Give what this package noted in a layer; nothing for other layers."""
    record = layer.metadata.get(convert.RESULT_KEY) if layer is not None else None
    return record if isinstance(record, dict) else {}


def holds_labels(layer: Layer) -> bool:
    """Whether a layer is a Labels layer that says what lies where, not one with outcomes of this package."""
    return isinstance(layer, Labels) and not _OUTCOMES & record_of(layer).keys()


def image_of(layers: Sequence[Layer], prediction: Layer) -> Image | None:
    """Find the image that a prediction belongs to: as its record says, else by grid and name."""
    shape = tuple(convert.full_data(prediction).shape)
    images = [
        x
        for x in layers
        if isinstance(x, Image) and convert.RESULT_KEY not in x.metadata and convert.grid_shape(x) == shape
    ]
    named = record_of(prediction).get("image")
    own = stem(prediction.name)
    return next((x for x in images if x.name == named or (named is None and stem(x.name) == own)), None)


def not_analysed(layers: Sequence[Layer], prediction: Layer) -> tuple[NDArray[np.bool_] | None, str]:
    """Mark what nobody looked at: outside of the analysed region, or the data bar of the image.

    Returns
    -------
    outside : ndarray of bool, (Y, X) or (Z, Y, X), or None
        On the grid of the prediction; None where everything was analysed, or nothing is known.
    text : str
        What it is, for the user; empty where nothing is known.
    """
    shape = tuple(convert.full_data(prediction).shape)
    image = image_of(layers, prediction)
    sem = convert.sem_image_of(image) if image is not None else None
    analysed = record_of(prediction).get("analysed")
    if isinstance(analysed, np.ndarray) and analysed.shape == shape:
        outside = ~analysed
        bar = _bar(shape[-2:], sem)
        if not outside.any():
            return None, "everything was analysed"
        if bar is not None and (bar == outside).all():
            return outside, f"data bar of {int(bar.all(axis=1).sum())} rows"
        return outside, f"{outside.mean():.1%} of the pixels"
    bar = _bar(shape[-2:], sem)
    if bar is None:
        return None, "" if sem is None else "no data bar"
    return bar, f"data bar of {int(bar.all(axis=1).sum())} rows"


def _bar(shape: tuple[int, ...], sem: SEMImage | None) -> NDArray[np.bool_] | None:
    if sem is None or sem.data_bar is None:
        return None
    bar = np.ones(shape, bool)
    bar[sem.analysed_rows] = False
    return bar


def as_now(layer: Layer) -> Any:
    """Labels as they are now, because a user may go on painting."""
    pixels = convert.full_data(layer)
    return pixels.copy() if isinstance(pixels, np.ndarray) else pixels


def labels_crc32(labels: NDArray[Any]) -> int:
    """Checksum by which labels are known to be as they were; some 20 ms for 16 million pixels."""
    return zlib.crc32(np.ascontiguousarray(labels).data)


def stem(name: str) -> str:
    """Name without what says that a layer holds labels, and without the ending of an image file."""
    return _NAME_END.sub("", name)
