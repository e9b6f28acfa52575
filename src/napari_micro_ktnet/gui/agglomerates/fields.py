"""The table of fields to measure: which Labels layers, and the image that each of them belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QComboBox, QTableWidget, QTableWidgetItem

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.agglomerates.run import FieldRequest
from napari_micro_ktnet.gui.label_layers import as_now, holds_labels, image_of, not_analysed, record_of, stem
from napari_micro_ktnet.gui.parts import combo, fit_table, set_up_table
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.sem.folders import LABELS_ENDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

_LABELS, _IMAGE, _PIXEL = range(3)
_PIXEL_WIDTH = 74
_ROW_HEIGHT, _MOST_ROWS = 28, 6
_BAD = QColor("#e5534b")
_ESTIMATED = "The pixel size is only an estimate from the magnification; check it on the scale bar."

HELP = {
    "labels": "Labels layers with a tick are measured, all together. They are never changed.",
    "image": "For mean grey values, pictures and the data bar; not needed for sizes.",
    "pixel": "Pixel size of the Labels layer; where it has none, that of the image, or what is typed below.",
}


@dataclass(frozen=True, eq=False)
class ChosenField:
    """A ticked row.

    Attributes
    ----------
    labels : Labels
        What is measured.
    image : Image or None
        Its image.
    pixel_size : tuple of float or None
        nm, ``(y, x)``, as the layers say.
    """

    labels: Labels
    image: Image | None
    pixel_size: tuple[float, float] | None

    @property
    def name(self) -> str:
        """Name of the field: that of its image, where a prediction says it."""
        return str(record_of(self.labels).get("image", "")) or self.labels.name


class FieldTable(QTableWidget):
    """One row for each Labels layer of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(0, 3)
        self._viewer = viewer
        self._labels: list[Labels] = []
        self._cells: list[tuple[QTableWidgetItem, QComboBox]] = []
        # What a user chose by hand is not suggested anew.
        self._ticked: dict[Labels, bool] = {}
        self._images: dict[Labels, Image | None] = {}
        set_up_table(self, HELP, _PIXEL, _PIXEL_WIDTH)
        self.itemChanged.connect(self._item_changed)
        self.refill()

    def refill(self) -> None:
        """Show the layers as they are now."""
        self._labels = [x for x in reversed(self._viewer.layers) if holds_labels(x)]
        kept: Mapping[Labels, Any]
        for kept in (self._ticked, self._images):
            for gone in [layer for layer in kept if layer not in self._labels]:
                del kept[gone]
        self.blockSignals(True)
        self.setRowCount(len(self._labels))
        self._cells = [self._fill(row, labels) for row, labels in enumerate(self._labels)]
        fit_table(self, _ROW_HEIGHT, _MOST_ROWS)
        self.blockSignals(False)
        self.changed.emit()

    def tick(self, labels: Labels, ticked: bool = True) -> None:
        """Choose a layer, or not, as a click does."""
        self._decide(labels, ticked)
        self.refill()

    def chosen(self) -> list[ChosenField]:
        """Ticked rows, from the bottom of the layer list to its top."""
        return [self._field(x) for x in reversed(self._labels) if self._is_ticked(x)]

    def mark(self, problems: Mapping[Labels, str], problem: str = "") -> None:
        """Colour the rows of bad layers, or the whole table, and say why in the tooltip."""
        self.blockSignals(True)
        for labels, (item, images) in zip(self._labels, self._cells, strict=True):
            text = problems.get(labels, "")
            item.setToolTip(text or f"{labels.name}: {HELP['labels']}")
            item.setForeground(QBrush(_BAD) if text else QBrush())
            inputs.mark(images, "", HELP["image"])
        self.setStyleSheet("QTableWidget { border: 1px solid #e5534b; }" if problem else "")
        self.setToolTip(problem)
        self.blockSignals(False)

    def _field(self, labels: Labels) -> ChosenField:
        image = self._image(labels)
        return ChosenField(labels, image, _pixel_size(labels, image))

    def _is_ticked(self, labels: Labels) -> bool:
        if self._ticked:
            return self._ticked.get(labels, False)
        made = [x for x in self._labels if "classes" in record_of(x)]
        return labels is next(iter(made or self._labels))

    def _candidates(self, labels: Labels) -> list[Image]:
        shape = tuple(convert.full_data(labels).shape)
        return [
            x
            for x in self._viewer.layers
            if isinstance(x, Image)
            and convert.RESULT_KEY not in x.metadata
            and convert.grid_shape(x) == shape
        ]

    def _image(self, labels: Labels) -> Image | None:
        fitting = self._candidates(labels)
        if labels in self._images and (self._images[labels] is None or self._images[labels] in fitting):
            return self._images[labels]
        similar = [x for x in fitting if stem(x.name) == stem(labels.name)]
        found = image_of(list(self._viewer.layers), labels)
        # A single image that fits may be the one; among several only a name tells.
        return found or next(iter(similar), fitting[0] if len(fitting) == 1 else None)

    def _fill(self, row: int, labels: Labels) -> tuple[QTableWidgetItem, QComboBox]:
        item = QTableWidgetItem(labels.name)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(_state(self._is_ticked(labels)))
        self.setItem(row, _LABELS, item)
        images = combo()
        images.addItem("none", None)
        for image in self._candidates(labels):
            images.addItem(image.name, image)
        chosen = self._image(labels)
        images.setCurrentIndex(next(i for i in range(images.count()) if images.itemData(i) is chosen))
        images.currentIndexChanged.connect(partial(self._image_chosen, labels, images))
        self.setCellWidget(row, _IMAGE, images)
        size = _pixel_size(labels, chosen)
        pixel = QTableWidgetItem(sizes.size_text(size) if size else "not known")
        pixel.setFlags(Qt.ItemFlag.ItemIsEnabled)
        pixel.setToolTip(f"{sizes.size_text(size)}. {HELP['pixel']}" if size else HELP["pixel"])
        self.setItem(row, _PIXEL, pixel)
        self.setRowHeight(row, _ROW_HEIGHT)
        return item, images

    def _item_changed(self, item: Any) -> None:
        if item.column() == _LABELS and item.row() < len(self._labels):
            self._decide(self._labels[item.row()], item.checkState() == Qt.CheckState.Checked)
            self.changed.emit()

    def _decide(self, labels: Labels, ticked: bool) -> None:
        # The first click decides for all rows: what was suggested stays ticked.
        self._ticked = {x: self._is_ticked(x) for x in self._labels} | {labels: ticked}

    def _image_chosen(self, labels: Labels, images: QComboBox, index: int) -> None:
        self._images[labels] = images.itemData(index)
        self.refill()


def field_request(
    layers: list[Layer], chosen: ChosenField, typed: tuple[float, float] | None
) -> FieldRequest:
    """Give a field as it is now; `typed` is its pixel size (nm) where no layer says it."""
    return FieldRequest(
        as_now(chosen.labels),
        chosen.name,
        chosen.pixel_size or typed,
        analysed_of(layers, chosen),
        None if chosen.image is None else _sem_image(chosen.image),
        _warnings(chosen),
        label_file(chosen.labels),
        record_of(chosen.labels).get("labels_crc32"),
    )


def label_file(labels: Labels) -> Path | None:
    """Find the file that labels were read from, if it is one as `micro-ktnet segment` writes them."""
    path = Path(labels.source.path) if labels.source.path else None
    return path if path is not None and path.stem.endswith(LABELS_ENDING) else None


def analysed_of(layers: list[Layer], chosen: ChosenField) -> NDArray[np.bool_] | None:
    """Give the analysed pixels of a field; None for all."""
    outside, _ = not_analysed(layers, chosen.labels)
    return None if outside is None else ~outside


def _sem_image(layer: Image) -> SEMImage:
    """Give the pixels of a layer with what its file says about them."""
    sem = convert.sem_image_of(layer)
    return SEMImage(
        convert.full_data(layer),
        data_bar=sem.data_bar if sem is not None else None,
        path=sem.path if sem is not None else None,
        rgb=bool(layer.rgb),
        name=layer.name,
    )


def _pixel_size(labels: Labels, image: Image | None) -> tuple[float, float] | None:
    found = convert.pixel_size_nm(labels)
    if found is None and image is not None and sizes.source_of(image) != "estimated":
        found = convert.pixel_size_nm(image)
    if found is None:
        return None
    # Through micrometres and back the last digits are lost.
    y, x = (float(f"{size:.12g}") for size in found)
    return y, x


def _warnings(chosen: ChosenField) -> tuple[str, ...]:
    if chosen.image is None or chosen.pixel_size is None:
        return ()
    same = sizes.same_size(convert.pixel_size_nm(chosen.image), chosen.pixel_size)
    return (_ESTIMATED,) if same and sizes.source_of(chosen.image) == "estimated" else ()


def _state(ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
