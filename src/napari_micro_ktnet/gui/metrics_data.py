"""Layers as predictions and truth: what their labels hold, which belong together, what was not analysed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_micro_ktnet.gui import layers as convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_micro_ktnet.sem import SEMImage

NOT_ANNOTATED = 255
_TRUTH = re.compile(
    r"truth|mask|annotation|corrected|manual|reference|(?:^|[ _-])gt(?:[ _-]|$)", re.IGNORECASE
)
_NAME_END = re.compile(
    r"( \[.*\]|[ _-](masks?|labels?|annotation|corrected|truth|ground|gt))+$", re.IGNORECASE
)
_COUNTED = 1 << 16


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


def offers_labels(layer: Layer) -> bool:
    """Whether a layer may be chosen as prediction or truth: also images, as masks are often opened."""
    record = layer.metadata.get(convert.RESULT_KEY)
    if isinstance(layer, Labels):
        return record is None or "errors_of" not in record
    return isinstance(layer, Image) and record is None


def offers_probability(layer: Layer) -> bool:
    """Whether a layer may be a probability: an image of real numbers."""
    return isinstance(layer, Image) and not layer.rgb and convert.full_data(layer).dtype.kind == "f"


def record_of(layer: Layer | None) -> dict[str, Any]:
    """Give what the Segment widget noted in a layer; nothing for other layers."""
    record = layer.metadata.get(convert.RESULT_KEY) if layer is not None else None
    return record if isinstance(record, dict) else {}


def suggest_pair(layers: Sequence[Layer]) -> tuple[Layer | None, Layer | None]:
    """Find a prediction and its truth: by who made them, by shape, by name; the newest first."""
    labels = [x for x in reversed(layers) if isinstance(x, Labels) and offers_labels(x)]
    made = [x for x in labels if "classes" in record_of(x)]
    others = [x for x in labels if not _TRUTH.search(x.name)]
    prediction = next(iter(made or others or labels), None)
    if prediction is None:
        return None, None
    masks = [
        x for x in reversed(layers) if isinstance(x, Image) and offers_labels(x) and _TRUTH.search(x.name)
    ]
    # The first of several equally good ones is taken.
    truth = max(
        (x for x in (*labels, *masks) if x is not prediction), key=lambda x: _fit(prediction, x), default=None
    )
    return prediction, truth


def _fit(prediction: Layer, layer: Layer) -> int:
    same = bool(convert.full_data(layer).shape == convert.full_data(prediction).shape)
    named = _stem(layer.name) in (_stem(prediction.name), _stem(str(record_of(prediction).get("image", ""))))
    made = "classes" in record_of(layer)
    return int(8 * same + 4 * bool(_TRUTH.search(layer.name)) + 2 * named - made)


def _stem(name: str) -> str:
    return _NAME_END.sub("", name)


def suggest_probability(layers: Sequence[Layer], prediction: Layer | None) -> Layer | None:
    """Find the probability that a prediction of the Segment widget was made from."""
    image = record_of(prediction).get("image")
    found = (
        x
        for x in reversed(layers)
        if image is not None and record_of(x).get("image") == image and "probability_of" in record_of(x)
    )
    return next(found, None)


def class_names(*layers: Layer | None) -> tuple[str, ...]:
    """Names of the classes that layers know, the first that knows any; none if nobody does."""
    for layer in layers:
        names = record_of(layer).get("classes")
        if names:
            return tuple(str(n) for n in names)
    return ()


def image_of(layers: Sequence[Layer], prediction: Layer) -> Image | None:
    """Find the image that a prediction belongs to: as its record says, else by grid and name."""
    shape = tuple(convert.full_data(prediction).shape)
    images = [
        x
        for x in layers
        if isinstance(x, Image) and convert.RESULT_KEY not in x.metadata and convert.grid_shape(x) == shape
    ]
    named = record_of(prediction).get("image")
    stem = _stem(prediction.name)
    return next((x for x in images if x.name == named or (named is None and _stem(x.name) == stem)), None)


def not_analysed(layers: Sequence[Layer], prediction: Layer) -> tuple[NDArray[np.bool_] | None, str]:
    """Mark what nobody looked at: outside of the analysed region, or the data bar of the image.

    Returns
    -------
    outside : ndarray of bool, (Y, X), or None
        On the grid of the prediction; None where everything was analysed, or nothing is known.
    text : str
        What it is, for the user; empty where nothing is known.
    """
    shape = tuple(convert.full_data(prediction).shape)[-2:]
    image = image_of(layers, prediction)
    sem = convert.sem_image_of(image) if image is not None else None
    analysed = record_of(prediction).get("analysed")
    if isinstance(analysed, np.ndarray) and analysed.shape == shape:
        outside = ~analysed
        bar = _bar(shape, sem)
        if not outside.any():
            return None, "everything was analysed"
        if bar is not None and np.array_equal(bar, outside):
            return outside, f"data bar of {int(bar.all(axis=1).sum())} rows"
        return outside, f"{outside.mean():.1%} of the pixels"
    bar = _bar(shape, sem)
    if bar is None:
        return None, "" if sem is None else "the image has no data bar"
    return bar, f"data bar of {int(bar.all(axis=1).sum())} rows"


def _bar(shape: tuple[int, ...], sem: SEMImage | None) -> NDArray[np.bool_] | None:
    if sem is None or sem.data_bar is None:
        return None
    bar = np.ones(shape, bool)
    bar[sem.analysed_rows] = False
    return bar
