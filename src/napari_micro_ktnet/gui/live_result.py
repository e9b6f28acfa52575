"""The layers of one run: tiles appear, the threshold moves them, edits by hand are never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.label_layers import labels_crc32
from napari_micro_ktnet.gui.threshold import Thresholder
from napari_micro_ktnet.predict.result import probability_to_labels

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.segment.run import RunResult, TileDone
    from napari_micro_ktnet.model.spec import ModelSpec


def prepare_labels(spec: ModelSpec) -> None:
    """Load and compile what the first Labels layer of a process needs, which takes seconds.

    In another thread no window waits for it.

    Parameters
    ----------
    spec : ModelSpec
        Its classes.
    """
    from napari.layers import Labels

    colours, features = convert.class_colours(spec.classes), convert.class_features(spec.classes)
    Labels(np.zeros((1, 1), np.uint8), colormap=colours, features=features)


class LiveResult:
    """Labels (and on demand probability) of an image layer in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers go.
    image : Image
        What is segmented; its data are never changed.
    spec : ModelSpec
        Classes with names and colours.
    """

    def __init__(self, viewer: ViewerModel, image: Image, spec: ModelSpec) -> None:
        self.viewer = viewer
        self.image = image
        self.spec = spec
        self.labels: Labels | None = None
        self.probability: list[Image] = []
        self.threshold = 0.5
        self._run: RunResult | None = None
        self._cache: Thresholder | None = None
        self._written: NDArray[np.uint8] | None = None
        self._before: tuple[Any, ...] = ()
        self._grid = convert.grid_shape(image)

    @property
    def outdated(self) -> bool:
        """Whether the image has got another size since, so that this is no result of it any more."""
        return convert.grid_shape(self.image) != self._grid

    @property
    def shown(self) -> bool:
        """Whether the Labels layer is in the viewer."""
        return self.labels is not None and self.labels in self.viewer.layers

    @property
    def layers(self) -> list[Any]:
        """The Labels and probability layers."""
        return [*([self.labels] if self.labels is not None else []), *self.probability]

    @property
    def bar_rows(self) -> int:
        """Rows that were left out as data bar."""
        return 0 if self._run is None else self._run.bar_rows

    @property
    def edited(self) -> bool:
        """Whether someone changed the labels since they were written here."""
        return (
            self.labels is not None
            and self._written is not None
            and not np.array_equal(self.labels.data, self._written)
        )

    def show_tile(self, tile: TileDone, threshold: float) -> None:
        """Write one tile to the Labels layer, which is added with the first of them."""
        if tile.probability is None:
            return
        labels = self.labels
        if labels is None:
            labels = self._add_labels(np.zeros(self._grid, np.uint8))
            # The tiles to come would overwrite what is painted meanwhile.
            labels.editable = False
        labels.data[tile.where] = probability_to_labels(tile.probability, threshold, tile.analysed)
        labels.refresh(extent=False, highlight=False)

    def finish(self, run: RunResult, threshold: float) -> None:
        """Take the final probability and show its labels."""
        self._run = run
        self._cache = Thresholder(run.segmentation)
        labels = self._paste(self._cache.labels(threshold), run)
        if self.labels is None:
            self._add_labels(labels)
        else:
            self.labels.data = labels
            self.labels.editable = True
        self._keep(run, threshold)

    def discard(self) -> None:
        """Take the layer of an unfinished run away and select again what was selected before."""
        if self.labels is None:
            return
        selected = set(self.viewer.layers.selection)
        if self.labels in self.viewer.layers:
            self.viewer.layers.remove(self.labels)
        if selected <= {self.labels}:
            # Removing a layer selects its neighbour; what the user selected meanwhile stays.
            self.viewer.layers.selection = [x for x in self._before if x in self.viewer.layers]
        self.labels = None

    def relabel(self, threshold: float) -> bool:
        """Move the labels to another threshold.

        Returns
        -------
        bool
            True where the layer held edits: it was left as it is, and a new layer was added.
        """
        if self._run is None or self._cache is None or self.labels is None:
            return False
        labels = self._paste(self._cache.labels(threshold), self._run)
        edited = self.edited
        if edited:
            self.labels.visible = False
            self._add_labels(labels)
        else:
            self.labels.data = labels
        self._keep(self._run, threshold)
        return edited

    def area_fractions(self) -> list[float]:
        """Share of the analysed pixels that each class covers, 0 to 1."""
        if self._cache is None or self._written is None:
            return []
        counts = np.bincount(self._written.ravel(), minlength=len(self.spec.classes) + 1)[1:]
        return [float(count) / self._cache.analysed_pixels for count in counts]

    def show_probability(self, show: bool) -> None:
        """Add or remove one Image layer a class, from 0 to 1."""
        if not show:
            for layer in self.probability:
                if layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)
            self.probability = []
        elif self._run is not None and not self.probability:
            active = self.viewer.layers.selection.active
            run = self._run
            channels = run.segmentation.probability[-len(self.spec.classes) :]
            self.probability = [
                self._add_probability(self._paste(channel, run), each.name)
                for channel, each in zip(channels, self.spec.classes, strict=True)
            ]
            if active is not None:
                self.viewer.layers.selection.active = active

    def _paste(self, part: NDArray[Any], run: RunResult) -> NDArray[Any]:
        """Put what was found in the box where it belongs in the whole image."""
        shape = self._grid[-part.ndim :]
        if part.shape == shape:
            return part
        whole = np.zeros(shape, part.dtype)
        whole[(..., *run.box)] = part
        return whole

    def _keep(self, run: RunResult, threshold: float) -> None:
        """Note what was written, in the layer for whoever measures it and here to notice edits."""
        layer = self.labels
        assert layer is not None  # noqa: S101 - it was just written
        self.threshold = threshold
        self._written = np.array(layer.data)
        found = run.segmentation
        layer.metadata = {
            **layer.metadata,
            convert.RESULT_KEY: {
                "image": self.image.name,
                "model": found.model_name,
                "model_sha256": found.model_sha256,
                "threshold": threshold,
                "classes": [each.name for each in self.spec.classes],
                "colors": [each.color for each in self.spec.classes],
                "architecture": self.spec.architecture,
                "encoder": self.spec.encoder,
                "labels_crc32": labels_crc32(self._written),
                "pixel_size_nm": found.pixel_size,
                "parameters": found.parameters,
                "analysed": self._paste(found.analysed, run),
            },
        }

    def _add_labels(self, data: NDArray[np.uint8]) -> Labels:
        from napari.layers import Labels

        names = ", ".join(each.name for each in self.spec.classes)
        # Known here before the viewer takes it, which may fail half way: then it is to be taken away again.
        self.labels = layer = Labels(
            data,
            name=f"{self.image.name} [{names if len(names) <= 40 else 'classes'}]",
            opacity=0.5,
            colormap=convert.class_colours(self.spec.classes),
            features=convert.class_features(self.spec.classes),
            **convert.geometry(self.image),
        )
        self._before = tuple(self.viewer.layers.selection)
        self.viewer.add_layer(layer)
        return layer

    def _add_probability(self, channel: NDArray[np.float32], name: str) -> Image:
        layer: Image = self.viewer.add_image(
            channel,
            name=f"{self.image.name} [probability of {name}]",
            colormap="magma",
            contrast_limits=(0, 1),
            blending="additive",
            opacity=0.6,
            metadata={convert.RESULT_KEY: {"image": self.image.name, "probability_of": name}},
            **convert.geometry(self.image),
        )
        return layer
