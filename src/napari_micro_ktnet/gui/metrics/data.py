"""Layers as predictions and truth: which may be one, and which belong together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.label_layers import holds_labels, record_of, stem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

NOT_ANNOTATED = 255
_SAMPLED, _MOST_VALUES = 200, 4
_TRUTH = re.compile(
    r"truth|mask|annotation|corrected|manual|reference|(?:^|[ _-])gt(?:[ _-]|$)", re.IGNORECASE
)


def offers_labels(layer: Layer) -> bool:
    """Whether a layer may be chosen as prediction or truth: also images, as masks are often opened."""
    if isinstance(layer, Labels):
        return holds_labels(layer)
    return isinstance(layer, Image) and convert.RESULT_KEY not in layer.metadata


def offers_probability(layer: Layer) -> bool:
    """Whether a layer may be a probability: an image of real numbers."""
    return isinstance(layer, Image) and not layer.rgb and convert.full_data(layer).dtype.kind == "f"


def suggest_pair(layers: Sequence[Layer]) -> tuple[Layer | None, Layer | None]:
    """Find a prediction and its truth: by who made them, by shape, by name; the newest first."""
    labels = [x for x in reversed(layers) if isinstance(x, Labels) and offers_labels(x)]
    made = [x for x in labels if "classes" in record_of(x)]
    others = [x for x in labels if not _TRUTH.search(x.name)]
    prediction = next(iter(made or others or labels), None)
    if prediction is None:
        return None, None
    images = [x for x in reversed(layers) if isinstance(x, Image) and offers_labels(x)]
    named = [x for x in images if _TRUTH.search(x.name)]
    # The first of several equally good ones is taken.
    truth = max(
        (x for x in (*labels, *named) if x is not prediction), key=lambda x: _fit(prediction, x), default=None
    )
    return prediction, truth or next(filter(_looks_like_mask, images), None)


def _looks_like_mask(layer: Image) -> bool:
    """Whether an image has as few values as a mask; a sample is looked at."""
    data = convert.full_data(layer)
    if layer.rgb or data.ndim != 2 or data.dtype.kind not in "bui":
        return False
    steps = tuple(max(1, n // _SAMPLED) for n in data.shape)
    return 1 < len(np.unique(np.asarray(data[:: steps[0], :: steps[1]]))) <= _MOST_VALUES


def _fit(prediction: Layer, layer: Layer) -> int:
    same = bool(convert.full_data(layer).shape == convert.full_data(prediction).shape)
    named = stem(layer.name) in (stem(prediction.name), stem(str(record_of(prediction).get("image", ""))))
    made = "classes" in record_of(layer)
    return int(8 * same + 4 * bool(_TRUTH.search(layer.name)) + 2 * named - made)


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
