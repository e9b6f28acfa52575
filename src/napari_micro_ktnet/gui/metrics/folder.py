"""Images of a comparison of folders, shown one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.metrics.layers import show_errors
from napari_micro_ktnet.gui.places import Place
from napari_micro_ktnet.measurement.error_map import error_map
from napari_micro_ktnet.measurement.label_pairs import load_pair
from napari_micro_ktnet.sem import read_sem

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_micro_ktnet.gui.metrics.run import Comparison


class FolderView:
    """The error layer of one image, over the image where its file is known; the next takes its place.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers go.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._shown: tuple[Comparison, int] | None = None
        self._image: Image | None = None
        self._errors: Labels | None = None
        self._place: Place | None = None

    def show(self, comparison: Comparison, index: int) -> Place:
        """Show an image of a comparison, unless it is shown already.

        Raises
        ------
        MicroKTNetError
            A file cannot be read any more.
        """
        if (
            self._place is not None
            and self._shown == (comparison, index)
            and self._errors in self._viewer.layers
        ):
            return self._place
        options = comparison.evaluation.options
        labels = load_pair(comparison.pairs[index], options)
        errors = error_map(labels.prediction, labels.truth, labels.ignore, instances=options.instances)
        path = comparison.images[index]
        self._show_image(path, errors.shape)
        keywords: dict[str, Any] = convert.spatial_keywords(2, labels.pixel_size)
        geometry = convert.geometry(Labels(np.zeros((1, 1), np.uint8), **keywords))
        self._place = Place(labels.name, self._image.name if self._image is not None else "", 2, geometry)
        self._errors = show_errors(self._viewer, errors, self._place)
        # A new image lies above the layers that were there.
        self._viewer.layers.move(self._viewer.layers.index(self._errors), len(self._viewer.layers))
        self._shown = (comparison, index)
        self._viewer.reset_view()
        return self._place

    def _show_image(self, path: Path | None, shape: tuple[int, ...]) -> None:
        if self._image is not None and self._image in self._viewer.layers:
            self._viewer.layers.remove(self._image)
        self._image = None
        if path is None or not path.is_file():
            return
        pixels, keywords, _ = convert.image_layer_data(read_sem(path))
        layer: Image = self._viewer.add_image(pixels, **keywords)
        if convert.grid_shape(layer) != shape:
            self._viewer.layers.remove(layer)
            return
        self._image = layer
