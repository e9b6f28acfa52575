"""The form of the batch tab: fields and their looks, no behaviour."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.agglomerates.limits import LimitsField
from napari_micro_ktnet.gui.parts import caption, combo, folding, form_layout, note, row, tool
from napari_micro_ktnet.gui.segment.view import ThresholdField

_ERRORS_HEIGHT = 110

HELP = {
    "folder": "Folder of the SEM images of one lot; its subfolders are not looked into.",
    "output": "Folder for labels, tables, record and report. A batch that was stopped goes on there.",
    "model": "Which model looks for agglomerates.",
    "threshold": "From this probability on a pixel is labelled.",
    "pixel_size": "nm, for files that do not say it, or only guess it.",
    "report": "Write report.html: one page to read, print and keep.",
    "lot": "For record and report.",
    "operator": "For record and report.",
    "earlier": "measurement.json of earlier lots, from the oldest to the newest, for the report's trend.",
}


class BatchForm(QWidget):
    """All fields of the tab."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.output = QLineEdit(), QLineEdit()
        self.model = combo()
        self.browse_model = tool("…", "Use a model file (.safetensors)")
        self.threshold = ThresholdField()
        self.limits = LimitsField()
        self.how = note()
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("as the files say")
        self.report = QCheckBox("Write a report")
        self.report.setChecked(True)
        self.lot, self.operator, self.earlier = QLineEdit(), QLineEdit(), QLineEdit()
        self.earlier.setPlaceholderText("none")
        self.more_part = QWidget()
        self.more = folding("Lot, operator, earlier lots", self.more_part)
        self.run = QPushButton("Run")
        self.progress = QProgressBar()
        self.progress.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message, self.verdict = note(), note()
        self.errors = QListWidget()
        self.errors.setWordWrap(True)
        self.errors.setFixedHeight(_ERRORS_HEIGHT)
        self.errors.setToolTip("Files that could not be measured; all others are.")
        self.open_report, self.open_folder = QPushButton("Open report"), QPushButton("Open folder")
        self._lay_out()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    @property
    def earlier_paths(self) -> tuple[Path, ...]:
        """Files that were typed, separated by semicolons."""
        return tuple(Path(p.strip()) for p in self.earlier.text().split(";") if p.strip())

    def _lay_out(self) -> None:
        fields, column = QWidget(), QVBoxLayout(self)
        form = form_layout(fields)
        self._add_folder(form, "Images", self.folder)
        self._add_folder(form, "Output", self.output)
        form.addRow(caption("Model"), row(self.model, self.browse_model))
        form.addRow(caption("Threshold"), self.threshold)
        form.addRow(caption("Limits"), self.limits)
        form.addRow(caption("Pixel size, nm"), self.pixel_size)
        form.addRow(self.how)
        form.addRow(self.report)
        more = form_layout(self.more_part)
        more.addRow(caption("Lot"), self.lot)
        more.addRow(caption("Operator"), self.operator)
        browse = tool("…", HELP["earlier"])
        browse.clicked.connect(self._choose_earlier)
        more.addRow(caption("Earlier lots"), row(self.earlier, browse))
        buttons = QWidget()
        line = row(self.open_report, self.open_folder)
        line.setStretch(1, 1)
        buttons.setLayout(line)
        parts: list[QWidget] = [fields, self.more, self.more_part, self.run, self.progress]
        parts += [self.message, self.verdict, self.errors, buttons]
        for part in parts:
            part.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
            column.addWidget(part)
        column.addStretch(1)
        for each in (self.progress, self.verdict, self.errors, self.open_report, self.open_folder):
            each.hide()

    def _add_folder(self, form: QFormLayout, text: str, line: QLineEdit) -> None:
        browse = tool("…", f"Choose the folder: {text.lower()}")
        browse.clicked.connect(lambda: self._browse(line))
        form.addRow(caption(text), row(line, browse))

    def _browse(self, line: QLineEdit) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", line.text())
        if folder:
            line.setText(folder)

    def _choose_earlier(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Choose records of earlier lots", "", "JSON (*.json)")
        if names:
            self.earlier.setText("; ".join(names))
