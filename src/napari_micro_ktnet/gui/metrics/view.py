"""The form of the Metrics widget: fields and their looks, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Layer, Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.inputs import LayerCombo
from napari_micro_ktnet.gui.metrics.data import NOT_ANNOTATED, offers_labels, offers_probability
from napari_micro_ktnet.gui.metrics.results import ResultsPart
from napari_micro_ktnet.gui.parts import caption, combo, folding, form_layout, narrow, note, row, tool

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QFormLayout

HELP = {
    "source": "Layers of this viewer, or a folder of predictions and a folder of masks.",
    "prediction": "Labels to judge, such as Segment makes. They are never changed.",
    "truth": "Labels to judge by. They are never changed.",
    "predictions": "Folder of label files, such as 'micro-ktnet segment' writes.",
    "masks": "Folder of masks with the names of the predictions, with or without '_mask' or '_labels'.",
    "meaning": "Whether a label is a class, or the number of an object.",
    "classes": "Names of the classes besides matrix in the order of their labels, separated by commas.",
    "skip": "Leave out of all scores what the model did not look at, and the data bar.",
    "unlabelled": "Label of the truth that says: not annotated. These pixels do not count.",
    "region": "A Shapes layer: what its rectangles, ellipses and polygons enclose does not count.",
    "tolerance": "How far outlines may be apart to agree, for the normalised surface distance (NSD).",
    "tolerance_unit": "Pixels, or micrometres where the pixel size is known.",
    "resample": "Bring the prediction to the pixels of the truth, each taking the nearest label.",
    "probability": "Probability that the labels were made from: Segment can show it. It gives a curve.",
}


class MetricsForm(QWidget):
    """All fields of the widget."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.source = combo("Layers of this viewer", "Folders")
        self.prediction = _narrowed(LayerCombo(viewer, Layer, accept=offers_labels))
        self.truth = _narrowed(LayerCombo(viewer, Layer, accept=offers_labels))
        self.predictions, self.masks = QLineEdit(), QLineEdit()
        self.meaning = combo("classes", "objects, each its own")
        self.classes = QLineEdit()
        self.classes.setPlaceholderText("found from the labels")
        self.skip = QCheckBox()
        self.skip.setChecked(True)
        self.unlabelled = combo("no label", str(NOT_ANNOTATED))
        self.probability = _narrowed(LayerCombo(viewer, Image, none="no curve", accept=offers_probability))
        self.region = _narrowed(LayerCombo(viewer, Shapes, none="nothing more"))
        self.tolerance = QDoubleSpinBox()
        self.tolerance.setRange(0, 1e4)
        self.tolerance.setDecimals(3)
        self.tolerance.setValue(2)
        self.tolerance_unit = narrow(combo("px", "µm"), 70)
        self.more_part = QWidget()
        self.more = folding("More settings", self.more_part)
        self.resample = QCheckBox("Resample the prediction")
        self.compare = QPushButton("Compare")
        self.progress = QProgressBar()
        self.message = note()
        self.results = ResultsPart()
        self._lay_out()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that were typed."""
        return tuple(name.strip() for name in self.classes.text().split(",") if name.strip())

    @property
    def instances(self) -> bool:
        """Whether labels number objects."""
        return self.meaning.currentIndex() == 1

    @property
    def not_annotated(self) -> int | None:
        """Label of the truth that does not count."""
        return NOT_ANNOTATED if self.unlabelled.currentIndex() == 1 else None

    def show_folders(self, folders: bool) -> None:
        """Ask for folders, or for layers."""
        self.layers_part.setVisible(not folders)
        self.folders_part.setVisible(folders)
        self.only_layers.setVisible(not folders)
        self.region_part.setVisible(not folders)

    def _lay_out(self) -> None:
        self.layers_part, self.folders_part, self.only_layers = QWidget(), QWidget(), QWidget()
        layers, folders = form_layout(self.layers_part), form_layout(self.folders_part)
        layers.addRow(caption("Prediction"), self.prediction)
        layers.addRow(caption("Truth"), self.truth)
        for text, line in (("Predictions", self.predictions), ("Truth", self.masks)):
            self._add_folder(folders, text, line)
        source, meaning, only = QWidget(), QWidget(), form_layout(self.only_layers)
        form_layout(source).addRow(caption("Compare"), self.source)
        names = form_layout(meaning)
        names.addRow(caption("Labels are"), self.meaning)
        names.addRow(caption("Classes"), self.classes)
        names.addRow(caption("Not annotated"), self.unlabelled)
        only.addRow(caption("Leave out"), self.skip)
        only.addRow(caption("Probability"), self.probability)
        more = QVBoxLayout(self.more_part)
        more.setContentsMargins(0, 0, 0, 0)
        tolerance = QWidget()
        self.region_part = QWidget()
        form_layout(tolerance).addRow(caption("Tolerance"), row(self.tolerance, self.tolerance_unit))
        form_layout(self.region_part).addRow(caption("Leave out too"), self.region)
        more.addWidget(tolerance)
        more.addWidget(self.region_part)
        self.progress.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        parts: list[QWidget] = [source, self.layers_part, self.folders_part, self.resample, meaning]
        parts += [self.only_layers, self.more, self.more_part]
        parts += [self.compare, self.progress, self.message, self.results]
        for part in parts:
            # Tables take the height that is left; without them nothing does.
            column.addWidget(part, int(part is self.results))
        column.addStretch(0)
        hidden: list[QWidget] = [self.folders_part, self.resample, self.progress, self.message, self.results]
        for each in hidden:
            each.hide()

    def _add_folder(self, form: QFormLayout, text: str, line: QLineEdit) -> None:
        browse = tool("…", f"Choose the folder of the {text.lower()}")
        browse.clicked.connect(lambda: self._browse(line))
        form.addRow(caption(text), row(line, browse))

    def _browse(self, line: QLineEdit) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", line.text())
        if folder:
            line.setText(folder)


def _narrowed(box: LayerCombo) -> LayerCombo:
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box
