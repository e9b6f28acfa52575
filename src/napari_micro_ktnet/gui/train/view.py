"""The form of the Train widget: fields and their looks, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.parts import caption, combo, folding, form_layout, narrow, note, row, tool
from napari_micro_ktnet.gui.train.classes import ClassList
from napari_micro_ktnet.gui.train.curves import CurvePlot
from napari_micro_ktnet.gui.train.pairs import PairTable
from napari_micro_ktnet.gui.train.settings import SettingsForm
from napari_micro_ktnet.gui.train.start import StartForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

_MIDDLE = Qt.AlignmentFlag.AlignVCenter

HELP = {
    "source": "Labels layers of this viewer, or a folder of images and a folder of masks.",
    "images": "Folder of images.",
    "masks": "Folder of masks with the names of the images, with or without '_mask' or '_labels'.",
    "annotation": "full: 0 is matrix. scribbles: 0 is not annotated, 1 matrix, 2 the first class.",
    "new_layer": "Add an empty Labels layer on the chosen image, and take the brush.",
    "new_kind": "scribbles: paint some of each class and of matrix. full: paint every object.",
    "correct": "Copy a result of Segment into a layer that you can correct and train on.",
    "name": "Name of the model in the list of models.",
    "estimate": "Measure how long it will take on this machine and how much memory it needs.",
    "train": "Start training in a process of its own, which goes on if napari is closed.",
    "pause": "Save the state and stop; Resume goes on from there, now or tomorrow.",
    "cancel": "Stop, and show the widget as it was before. The best model so far is kept in its run folder.",
    "runs": "Training runs on this computer.",
    "attach": "Watch a run that is going on, or resume one that is not finished.",
}


class FolderFields(QWidget):
    """Two folders and what their masks mean."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.masks = QLineEdit(), QLineEdit()
        self.annotation = combo("full", "scribbles")
        form = form_layout(self)
        for text, line in (("Images", self.images), ("Masks", self.masks)):
            browse = tool("…", f"Choose the folder of {text.lower()}")
            browse.clicked.connect(lambda _=False, line=line: self._browse(line))
            form.addRow(caption(text), row(line, browse))
        form.addRow(caption("Annotation"), self.annotation)

    def _browse(self, line: QLineEdit) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", line.text())
        if folder:
            line.setText(folder)


class ProgressPart(QWidget):
    """Bars and curves of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs, self.steps = QProgressBar(), QProgressBar()
        self.loss, self.score = CurvePlot("Loss"), CurvePlot("Validation IoU", top=1.0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.epochs, self.steps, self.loss, self.score):
            column.addWidget(part)
        for bar in (self.epochs, self.steps):
            bar.setTextVisible(True)
            bar.setAlignment(Qt.AlignmentFlag.AlignCenter)


class TrainForm(QWidget):
    """All fields of the widget."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.source = combo("Layers of this viewer", "Folders")
        self.pairs = PairTable(viewer)
        self.folders = FolderFields()
        self.images, self.masks = self.folders.images, self.folders.masks
        self.annotation = self.folders.annotation
        self.new_layer = QPushButton("New annotation layer")
        self.new_kind = narrow(combo("scribbles", "full"), 110)
        self.correct = QPushButton("Correct this prediction")
        self.classes = ClassList()
        self.start = StartForm()
        self.settings = SettingsForm()
        self.name = QLineEdit()
        self.more = folding("More settings", self.settings.more)
        self.estimate = QPushButton("Estimate time and memory")
        self.estimated = note()
        self.train, self.pause, self.cancel = (
            QPushButton("Train"),
            QPushButton("Pause"),
            QPushButton("Cancel"),
        )
        self.message = note()
        self.progress = ProgressPart()
        self.runs = combo()
        self.attach = tool("Resume", "", width=72)
        self.refresh = tool("⟳", "Read the folder of runs again")
        self.offer = note()
        self._lay_out()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    def show_folders(self, folders: bool) -> None:
        """Ask for folders, or for layers."""
        self.stack.setCurrentIndex(int(folders))
        # A stack is as high as its highest page.
        height = self.folders.sizeHint().height() if folders else self.pairs.minimumHeight()
        self.stack.setFixedHeight(height)
        self.layer_buttons.setVisible(not folders)

    def _lay_out(self) -> None:
        self.stack = QStackedWidget()
        self.stack.addWidget(self.pairs)
        self.stack.addWidget(self.folders)
        self.fields = QWidget()
        column = QVBoxLayout(self.fields)
        column.setContentsMargins(0, 0, 0, 0)
        self._add_row(column, "Data", self.source)
        column.addWidget(self.stack)
        self.layer_buttons = QWidget()
        buttons = QVBoxLayout(self.layer_buttons)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.addLayout(row(self.new_layer, self.new_kind))
        buttons.addWidget(self.correct)
        column.addWidget(self.layer_buttons)
        self._add_row(column, "Classes", self.classes)
        column.addWidget(self.start)
        column.addWidget(self.settings)
        self._add_row(column, "Name", self.name)
        lower: list[QWidget] = [self.more, self.settings.more, self.estimate, self.estimated]
        for part in lower:
            column.addWidget(part)
        self.estimated.hide()
        whole = QVBoxLayout(self)
        whole.addWidget(self.offer)
        whole.addWidget(self.fields)
        whole.addLayout(row(self.train, self.pause, self.cancel))
        whole.addWidget(self.message)
        whole.addWidget(self.progress)
        runs = row(self.runs, self.attach, self.refresh)
        runs.insertWidget(0, QLabel("Runs"))
        whole.addLayout(runs)
        whole.addStretch(1)
        hidden: list[QWidget] = [self.offer, self.pause, self.cancel, self.progress, self.message]
        for each in hidden:
            each.hide()

    @staticmethod
    def _add_row(column: QVBoxLayout, text: str, field: QWidget | QHBoxLayout) -> None:
        line = QHBoxLayout()
        line.addWidget(caption(text), 0, _MIDDLE)
        if isinstance(field, QWidget):
            line.addWidget(field, 1)
        else:
            line.addLayout(field, 1)
        column.addLayout(line)
