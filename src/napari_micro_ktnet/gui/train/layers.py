"""Layers that the Train widget adds: annotations to paint, corrections of predictions, the latest preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.train.data import ANNOTATION_KEY, MATRIX, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_micro_ktnet.model.spec import LabelClass
    from napari_micro_ktnet.sem import SEMImage
    from napari_micro_ktnet.training.config import Annotation

_BRUSH_SHARE = 60


def add_annotation(
    viewer: ViewerModel, image: Image, classes: Sequence[LabelClass], kind: Annotation
) -> Labels:
    """Add an empty Labels layer on the grid of an image, with the brush in hand."""
    layer = _add(viewer, image, np.zeros(convert.grid_shape(image), np.uint8), classes, kind, "annotation")
    layer.selected_label = 2 if kind == "scribbles" else 1
    layer.brush_size = max(3, round(min(convert.grid_shape(image)[-2:]) / _BRUSH_SHARE))
    layer.mode = "paint"
    return layer


def is_prediction(layer: Any) -> bool:
    """Whether a layer is a Labels layer that the Segment widget made."""
    return "classes" in layer.metadata.get(convert.RESULT_KEY, {}) and hasattr(layer, "brush_size")


def correct(viewer: ViewerModel, prediction: Labels, classes: Sequence[LabelClass]) -> tuple[Labels, Image]:
    """Add a copy of a prediction that can be edited and trained on; the prediction is hidden, not changed.

    Raises
    ------
    InputError
        Its image is no longer in the viewer.
    """
    record = prediction.metadata[convert.RESULT_KEY]
    from napari.layers import Image

    shape = np.shape(prediction.data)
    images = [x for x in viewer.layers if isinstance(x, Image) and convert.RESULT_KEY not in x.metadata]
    fitting = [x for x in images if convert.grid_shape(x) == shape]
    named = [x for x in fitting if x.name == record["image"]]
    if not (named or fitting):
        raise InputError(
            f"The image of {prediction.name!r} is no longer in the viewer: open {record['image']!r} again."
        )
    image = (named or fitting)[0]
    data = np.array(prediction.data, dtype=np.uint8)
    analysed = record.get("analysed")
    kind: Annotation = "full"
    if analysed is not None and not np.all(analysed):
        # What the network did not look at is no example of matrix.
        kind = "scribbles"
        data = np.where(analysed, encode(data, "full", None), 0).astype(np.uint8)
    layer = _add(viewer, image, data, classes, kind, "corrected")
    layer.selected_label = 2 if kind == "scribbles" else 1
    layer.mode = "paint"
    prediction.visible = False
    return layer, image


def recolor(viewer: ViewerModel, classes: Sequence[LabelClass]) -> None:
    """Show names and colours of the classes in the layers that were made here to be painted on."""
    for layer in viewer.layers:
        kind = layer.metadata.get(ANNOTATION_KEY, {}).get("kind")
        if kind is not None:
            shown = (MATRIX, *classes) if kind == "scribbles" else tuple(classes)
            layer.colormap = convert.class_colours(shown)
            layer.features = convert.class_features(shown)


def _add(
    viewer: ViewerModel,
    image: Image,
    data: NDArray[np.uint8],
    classes: Sequence[LabelClass],
    kind: Annotation,
    what: str,
) -> Labels:
    shown = (MATRIX, *classes) if kind == "scribbles" else tuple(classes)
    layer: Labels = viewer.add_labels(
        data,
        name=f"{image.name} [{what}]",
        opacity=0.5,
        colormap=convert.class_colours(shown),
        features=convert.class_features(shown),
        metadata={ANNOTATION_KEY: {"kind": kind, "image": image.name}},
        **convert.geometry(image),
    )
    viewer.layers.selection = [layer]
    return layer


class Preview:
    """A validation image and its latest prediction; layers that a user deletes do not come back.

    Parameters
    ----------
    viewer : ViewerModel
        Where they go.
    name : str
        Of the run.
    classes : sequence of LabelClass
        Names and colours of the labels.
    """

    def __init__(self, viewer: ViewerModel, name: str, classes: Sequence[LabelClass]) -> None:
        self.viewer, self.name, self.classes = viewer, name, classes
        self._layers: list[Any] = []

    def show(self, image: SEMImage, labels: NDArray[np.uint8]) -> None:
        """Add both layers the first time, and show new labels from then on."""
        if not self._layers:
            selected = list(self.viewer.layers.selection)
            self._layers = [self._add_image(image), self._add_labels(image, labels)]
            self.viewer.layers.selection = selected
        elif self._layers[1] in self.viewer.layers and self._layers[1].data.shape == labels.shape:
            self._layers[1].data = labels

    def remove(self) -> None:
        """Take away what is left of them."""
        for layer in self._layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._layers = []

    def _add_image(self, image: SEMImage) -> Image:
        pixels, keywords, _ = convert.image_layer_data(image, f"{self.name} [validation]")
        keywords["metadata"] = {convert.RESULT_KEY: {"preview_of": self.name}}
        return self.viewer.add_image(pixels, **keywords)

    def _add_labels(self, image: SEMImage, labels: NDArray[np.uint8]) -> Labels:
        return self.viewer.add_labels(
            labels,
            name=f"{self.name} [latest prediction]",
            opacity=0.5,
            colormap=convert.class_colours(self.classes),
            features=convert.class_features(self.classes),
            metadata={convert.RESULT_KEY: {"preview_of": self.name}},
            **convert.spatial_keywords(2, image.pixel_size),
        )
