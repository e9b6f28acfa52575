"""Sample data: a synthetic SEM image of a masterbatch and its exact truth."""

from __future__ import annotations

from typing import Any

from napari_micro_ktnet.gui.layers import image_layer_data, spatial_keywords
from napari_micro_ktnet.sem import DataBar, SEMImage
from napari_micro_ktnet.synthetic import masterbatch_image


def masterbatch() -> list[tuple[Any, dict[str, Any], str]]:
    """Make an Image layer ``(960, 1280)`` and a Labels layer that numbers the agglomerates."""
    sample = masterbatch_image(seed=7, data_bar=True)
    height = sample.pixels.shape[0]
    bar = DataBar(height - sample.data_bar_rows, height, "metadata") if sample.data_bar_rows else None
    image = SEMImage(
        sample.pixels, sample.pixel_size, "metadata", data_bar=bar, name="Masterbatch (synthetic)"
    )
    truth = {
        "name": "Masterbatch (synthetic) truth",
        "opacity": 0.5,
        **spatial_keywords(2, sample.pixel_size),
    }
    return [image_layer_data(image), (sample.labels, truth, "labels")]
