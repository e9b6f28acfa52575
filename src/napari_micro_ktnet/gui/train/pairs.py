"""The table of annotated layers: which Labels layer belongs to which image, and what its 0 means."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QComboBox, QTableWidget, QTableWidgetItem

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.parts import combo, fit_table, set_up_table
from napari_micro_ktnet.gui.train import data as data

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_micro_ktnet.training.config import Annotation

_LABELS, _IMAGE, _KIND = range(3)
_KINDS: tuple[Annotation, ...] = ("full", "scribbles")
_KIND_WIDTH = 108
_ROW_HEIGHT = 30
_MOST_ROWS = 6
_BAD = QColor("#e5534b")

HELP = {
    "labels": "Labels layers with a tick are trained on.",
    "image": "The image that these labels annotate.",
    "annotation": "full: 0 is matrix, 1 the first class. scribbles: 0 is not annotated, 1 matrix, 2 a class.",
}


class PairTable(QTableWidget):
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
        self._counts: dict[Labels, data.Counts] = {}
        # What a user chose by hand is not suggested anew.
        self._ticked: dict[Labels, bool] = {}
        self._images: dict[Labels, Image] = {}
        self._kinds: dict[Labels, Annotation] = {}
        set_up_table(self, HELP, _KIND, _KIND_WIDTH)
        self.itemChanged.connect(self._item_changed)
        self.refill()

    def refill(self) -> None:
        """Show the layers as they are now."""
        self._labels = [x for x in self._viewer.layers if _is_annotation(x)]
        for kept in (self._counts, self._ticked, self._images, self._kinds):
            for gone in [layer for layer in kept if layer not in self._labels]:
                del kept[gone]
        self.blockSignals(True)
        self.setRowCount(len(self._labels))
        self._cells = [self._fill(row, labels) for row, labels in enumerate(self._labels)]
        fit_table(self, _ROW_HEIGHT, _MOST_ROWS)
        self.blockSignals(False)
        self.changed.emit()

    def painted(self, labels: Labels) -> None:
        """Count the labels of a layer anew."""
        before = self._counts.pop(labels, {})
        if labels in self._labels and not any(v for v in before):
            # The first labels of a layer say more about it than none.
            self.refill()
        else:
            self.changed.emit()

    def counts(self, labels: Labels) -> data.Counts:
        """Pixels of each label."""
        if labels not in self._counts:
            self._counts[labels] = data.label_counts(labels)
        return self._counts[labels]

    def pairs(self) -> list[data.LayerPair]:
        """Ticked rows with an image."""
        found = [(labels, self._image(labels)) for labels in self._labels if self._is_ticked(labels)]
        return [data.LayerPair(i, labels, self._kind(labels)) for labels, i in found if i is not None]

    def problem(self) -> str:
        """Mark bad rows and say the first problem; empty if there is none."""
        first = ""
        self.blockSignals(True)
        for labels, (item, images) in zip(self._labels, self._cells, strict=True):
            text = self._check(labels) if self._is_ticked(labels) else ""
            item.setToolTip(text or f"{labels.name}: {HELP['labels']}")
            item.setForeground(QBrush(_BAD) if text else QBrush())
            inputs.mark(images, text, HELP["image"])
            first = first or text
        self.blockSignals(False)
        pairs = self.pairs()
        return first or data.check_together(pairs, [self.counts(p.labels) for p in pairs])

    def choose(self, labels: Labels, image: Image, kind: Annotation) -> None:
        """Tick a layer and say what it is."""
        self._ticked[labels], self._images[labels], self._kinds[labels] = True, image, kind
        self.refill()

    def _check(self, labels: Labels) -> str:
        image = self._image(labels)
        if image is None:
            return f"Choose the image that {labels.name!r} annotates."
        return data.check_pair(data.LayerPair(image, labels, self._kind(labels)), self.counts(labels))

    def _candidates(self) -> list[Image]:
        return [
            x for x in self._viewer.layers if isinstance(x, Image) and convert.RESULT_KEY not in x.metadata
        ]

    def _image(self, labels: Labels) -> Image | None:
        chosen = self._images.get(labels)
        images = self._candidates()
        return chosen if chosen in images else data.suggest_image(labels, images)

    def _kind(self, labels: Labels) -> Annotation:
        return self._kinds.get(labels) or data.suggest_annotation(labels, self.counts(labels))

    def _is_ticked(self, labels: Labels) -> bool:
        made_here = data.ANNOTATION_KEY in labels.metadata
        drawn = any(self.counts(labels).keys() - {0}) and convert.SAVED_KEY not in labels.metadata
        suggested = self._image(labels) is not None and (made_here or drawn)
        return self._ticked.get(labels, suggested)

    def _fill(self, row: int, labels: Labels) -> tuple[QTableWidgetItem, QComboBox]:
        item = QTableWidgetItem(labels.name)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(Qt.CheckState.Checked if self._is_ticked(labels) else Qt.CheckState.Unchecked)
        self.setItem(row, _LABELS, item)
        images = combo()
        images.setPlaceholderText("choose…")
        for image in self._candidates():
            images.addItem(image.name, image)
        chosen = self._image(labels)
        images.setCurrentIndex(next((i for i in range(images.count()) if images.itemData(i) is chosen), -1))
        images.currentIndexChanged.connect(partial(self._image_chosen, labels, images))
        kinds = combo(*_KINDS)
        kinds.setToolTip(HELP["annotation"])
        kinds.setCurrentText(self._kind(labels))
        kinds.currentIndexChanged.connect(partial(self._kind_chosen, labels))
        self.setCellWidget(row, _IMAGE, images)
        self.setCellWidget(row, _KIND, kinds)
        self.setRowHeight(row, _ROW_HEIGHT)
        return item, images

    def _item_changed(self, item: Any) -> None:
        if item.column() == _LABELS and item.row() < len(self._labels):
            self._ticked[self._labels[item.row()]] = item.checkState() == Qt.CheckState.Checked
            self.changed.emit()

    def _image_chosen(self, labels: Labels, images: QComboBox, index: int) -> None:
        if images.itemData(index) is not None:
            self._images[labels] = images.itemData(index)
        self.changed.emit()

    def _kind_chosen(self, labels: Labels, index: int) -> None:
        self._kinds[labels] = _KINDS[index]
        self.changed.emit()


def _is_annotation(layer: Any) -> bool:
    """Whether a layer may be an annotation: not what this package predicted."""
    return isinstance(layer, Labels) and convert.RESULT_KEY not in layer.metadata
