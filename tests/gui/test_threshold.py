"""Labels that follow the threshold slider."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_micro_ktnet.gui.threshold import Thresholder
from napari_micro_ktnet.model.spec import LabelClass, ModelSpec
from napari_micro_ktnet.predict.result import Segmentation

TWO = ModelSpec(classes=(LabelClass(name="a", color="#ff0000"), LabelClass(name="b", color="#00ff00")))


def segmentation(shape: tuple[int, ...], classes: int) -> Segmentation:
    rng = np.random.default_rng(0)
    probability = rng.random((classes + (classes > 1), *shape), dtype=np.float32)
    if classes > 1:
        probability /= probability.sum(axis=0)
    analysed = rng.random(shape) > 0.2
    return Segmentation(probability, analysed, TWO if classes > 1 else ModelSpec(), "m", "", None)


@pytest.mark.parametrize("shape", [(30, 40), (3, 30, 40)])
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.73, 1.0])
def test_same_labels_as_the_core(shape: tuple[int, ...], classes: int, threshold: float) -> None:
    found = segmentation(shape, classes)
    cached = Thresholder(found)
    labels = cached.labels(threshold)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, found.labels(threshold))
    assert cached.analysed_pixels == found.analysed.sum()


def test_sixteen_million_pixels_in_a_tenth_of_a_second() -> None:
    cached = Thresholder(segmentation((4096, 4096), 1))
    times = []
    for threshold in (0.2, 0.5, 0.8):
        start = time.perf_counter()
        cached.labels(threshold)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1
