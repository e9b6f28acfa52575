"""What of a measurement is taken along: the files of `micro-ktnet measure`, and a report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.gui.agglomerates.run import Step
from napari_micro_ktnet.gui.parts import caption, folding, form_layout, note, row, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from napari_micro_ktnet.gui.agglomerates.run import Measured
    from napari_micro_ktnet.measurement.pooled import Measurement
    from napari_micro_ktnet.report import ReportField

_HELP = {
    "copy": "Copy the table that is shown, to paste it into a spreadsheet.",
    "csv": "Save one row for each object, as 'micro-ktnet measure --csv' does.",
    "json": "Save all figures, as 'micro-ktnet measure --json' does.",
    "report": "Write one HTML page to read, print and keep.",
    "open": "Open the report in the browser.",
    "lot": "What the report is on.",
    "operator": "Who measured.",
    "earlier": "JSON files of earlier lots, from the oldest to the newest, for the trend.",
}


@dataclass(frozen=True)
class ReportText:
    """What a user typed for a report.

    Attributes
    ----------
    lot, operator : str
        As typed.
    earlier : tuple of Path
        JSON files of earlier lots.
    """

    lot: str = ""
    operator: str = ""
    earlier: tuple[Path, ...] = ()


class ExportPart(QWidget):
    """Buttons, and the fields of a report."""

    def __init__(self) -> None:
        super().__init__()
        self.copy, self.csv, self.json = QPushButton("Copy"), QPushButton("CSV…"), QPushButton("JSON…")
        self.report, self.open = QPushButton("Report…"), QPushButton("Open report")
        self.lot, self.operator, self.earlier = QLineEdit(), QLineEdit(), QLineEdit()
        self.earlier.setPlaceholderText("none")
        self.message = note()
        self.written: Path | None = None
        text_part = QWidget()
        self.text = folding("Lot, operator, earlier lots", text_part)
        form = form_layout(text_part)
        form.addRow(caption("Lot"), self.lot)
        form.addRow(caption("Operator"), self.operator)
        browse = tool("…", _HELP["earlier"])
        browse.clicked.connect(self._choose_earlier)
        form.addRow(caption("Earlier lots"), row(self.earlier, browse))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        buttons = row(self.copy, self.csv, self.json, self.report)
        for index in range(buttons.count()):
            buttons.setStretch(index, 1)
        column.addLayout(buttons)
        for each in (self.text, text_part, self.message, self.open):
            column.addWidget(each)
        self.message.hide()
        self.open.hide()
        self.open.clicked.connect(self._open)
        for name, text in _HELP.items():
            getattr(self, name).setToolTip(text)

    @property
    def typed(self) -> ReportText:
        """What the fields say."""
        earlier = tuple(Path(p.strip()) for p in self.earlier.text().split(";") if p.strip())
        return ReportText(self.lot.text().strip(), self.operator.text().strip(), earlier)

    def show_report(self, path: Path | None) -> None:
        """Offer a report that was written; None takes the offer away."""
        self.written = path
        self.open.setVisible(path is not None)

    def _open(self) -> None:
        if self.written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.written)))

    def _choose_earlier(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(
            self, "Choose the JSON files of earlier lots", "", "JSON (*.json)"
        )
        if names:
            self.earlier.setText("; ".join(names))


def ask_path(parent: QWidget, title: str, name: str) -> Path | None:
    """Ask where to save; the ending of `name` is added where none is typed."""
    suffix = Path(name).suffix
    chosen, _ = QFileDialog.getSaveFileName(parent, title, name, f"{suffix[1:].upper()} (*{suffix})")
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.suffix else path.with_suffix(suffix)


def write_json(measurement: Measurement, path: Path) -> None:
    """Write what `micro-ktnet measure --json` does.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    write_bytes(path, json.dumps(measurement.to_dict(), indent=2, allow_nan=False).encode())


def write_csv(measurement: Measurement, path: Path) -> None:
    """Write what `micro-ktnet measure --csv` does.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    write_bytes(path, measurement.to_csv().encode())


def report_steps(
    path: Path, measured: Measured, fields: Callable[[], Sequence[ReportField]], text: ReportText
) -> Generator[Step, None, Path]:
    """Write a report; yields before it begins.

    Raises
    ------
    MicroKTNetError
        As `report.write_report` does.
    """
    yield Step(0, 0, "the report")
    from napari_micro_ktnet.report import ReportInfo, write_report

    info = ReportInfo(lot=text.lot, operator=text.operator)
    return write_report(path, measured.measurement, fields(), info, text.earlier)
