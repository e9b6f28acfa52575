"""What the Metrics widget shows of a comparison: tables, plots, the legend, and how to take them along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.metrics.layers import MEANING
from napari_micro_ktnet.gui.metrics.objects import VERDICTS, ObjectRows, image_columns, object_rows
from napari_micro_ktnet.gui.metrics.plots import SizeBars, ThresholdPlot, describe_curve
from napari_micro_ktnet.gui.metrics.text import overall_text, score_rows, unit_name
from napari_micro_ktnet.gui.parts import caption, combo, note, row
from napari_micro_ktnet.gui.tables import ColumnTable, ScoreTable
from napari_micro_ktnet.measurement.error_map import COLORS, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from qtpy.QtWidgets import QComboBox

    from napari_micro_ktnet.gui.metrics.run import Comparison

_TABLE_HEIGHT = 470
_SCORES, _OBJECTS, _IMAGES, _PLOTS = range(4)
_NO_CURVE = "Choose a probability above and compare again for scores against the threshold."
_NO_CURVE_OF_FOLDERS = "For scores against the threshold compare layers, and choose a probability layer."
_HELP = {
    "of_class": "Class whose scores and plots are shown.",
    "verdict": "Show only some of the objects.",
    "alone": "Hide prediction and truth while the errors are looked at. Both stay as they are.",
    "copy": "Copy the table that is shown, to paste it into a spreadsheet.",
    "csv": "Save the table that is shown: all objects, or else all scores of every image.",
    "json": "Save everything, as 'micro-ktnet evaluate --json' does.",
}


class ResultsPart(QWidget):
    """Tables and plots of one comparison."""

    object_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.comparison: Comparison | None = None
        self.threshold: float | None = None
        self.objects: ObjectRows | None = None
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setToolTip("\n".join(text for _, text in MEANING.values()))
        self.alone = QCheckBox("Hide prediction and truth")
        # Their colours would shine through, and make other colours of the errors.
        self.alone.setChecked(True)
        self.of_class = combo()
        self.scores, self.images, self.object_table = ScoreTable(), ColumnTable(), ColumnTable()
        self.verdict = combo()
        self.overall, self.curve_note, self.object_note = note(), note(), note()
        self.sizes, self.curve = SizeBars(), ThresholdPlot()
        self.copy, self.csv, self.json = QPushButton("Copy"), QPushButton("CSV…"), QPushButton("JSON…")
        self.tabs = QTabWidget()
        self._lay_out()
        for name, text in _HELP.items():
            getattr(self, name).setToolTip(text)
        self.of_class.currentIndexChanged.connect(self._show_class)
        self.verdict.currentIndexChanged.connect(self._filter)
        self.object_table.chosen.connect(self.object_chosen)

    @property
    def class_name(self) -> str:
        """Class that is shown."""
        return self.of_class.currentText()

    def show_comparison(self, comparison: Comparison, threshold: float | None) -> None:
        """Show another result; `threshold` is where the prediction was made."""
        result = comparison.evaluation
        self.comparison, self.threshold = comparison, threshold
        self.objects = object_rows(result)
        many = len(result.classes) > 1
        _fill(self.of_class, result.classes)
        self.class_part.setVisible(many)
        self.overall.setText(overall_text(result) if many else "")
        self.overall.setVisible(many)
        counts = self.objects.counts()
        entries = [f"all ({sum(counts.values())})", *(f"{v} ({n})" for v, n in counts.items())]
        _fill(self.verdict, entries)
        self.object_table.set_columns(self.objects.columns)
        self.images.set_columns(image_columns(result))
        self.tabs.setTabVisible(_IMAGES, len(result.images) > 1)
        self.alone.setVisible(comparison.errors is not None)
        self.legend.setText(_legend(other=many))
        self._show_class()
        self.show()

    def copy_table(self) -> None:
        """Put the table that is shown on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join("\t".join(cells) for cells in self._texts()))

    def save_csv(self, path: Path) -> None:
        """Write what the tab in front is about.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        if self.comparison is None:
            return
        result = self.comparison.evaluation
        (result.write_objects_csv if self.shows_objects else result.write_csv)(path)

    @property
    def shows_objects(self) -> bool:
        """Whether the objects are in front."""
        return self.tabs.currentIndex() == _OBJECTS

    def _show_class(self) -> None:
        if self.comparison is None or not self.class_name:
            return
        result = self.comparison.evaluation
        self.scores.set_rows(score_rows(result, self.class_name))
        self.sizes.show_sizes(result.pooled[self.class_name].objects.sizes, unit_name(result))
        curve = self.comparison.curve
        self.curve.setVisible(curve is not None)
        if curve is None:
            self.curve_note.setText(_NO_CURVE_OF_FOLDERS if self.comparison.images else _NO_CURVE)
            return
        self.curve.show_scores(curve, self.threshold)
        self.curve_note.setText(describe_curve(curve, self.comparison.curve_class, self.threshold))

    def _filter(self) -> None:
        if self.objects is None:
            return
        index = self.verdict.currentIndex()
        verdict = list(VERDICTS)[index - 1] if index > 0 else ""
        self.object_table.rows.show_only(
            (self.objects.verdict == verdict) if verdict else self.objects.verdict != ""
        )
        self.object_note.setText(VERDICTS.get(verdict, "Click a row to go to the object."))

    def _texts(self) -> list[list[str]]:
        if self.shows_objects:
            return self.object_table.rows.texts()
        if self.tabs.currentIndex() == _IMAGES:
            return self.images.rows.texts()
        return self.scores.texts()

    def _lay_out(self) -> None:
        self.class_part = QWidget()
        part = row(self.of_class)
        part.insertWidget(0, caption("Class"))
        self.class_part.setLayout(part)
        objects, plots = QWidget(), QWidget()
        column = _column(objects)
        for each in (self.verdict, self.object_note, self.object_table):
            column.addWidget(each)
        column = _column(plots)
        for plot in (self.sizes, self.curve, self.curve_note):
            column.addWidget(plot)
        column.addStretch(1)
        # Without it, text that wraps in a page that is not seen would make the whole form too high.
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(plots)
        for index, (page, title) in enumerate(
            ((self.scores, "Scores"), (objects, "Objects"), (self.images, "Images"), (area, "Plots"))
        ):
            self.tabs.insertTab(index, page, title)
        self.tabs.setMinimumHeight(_TABLE_HEIGHT)
        column = _column(self)
        shown: list[QWidget] = [self.legend, self.alone, self.class_part, self.overall, self.tabs]
        for part_of_result in shown:
            column.addWidget(part_of_result, int(part_of_result is self.tabs))
        buttons = row(self.copy, self.csv, self.json)
        for index in range(buttons.count()):
            buttons.setStretch(index, 1)
        column.addLayout(buttons)
        self.object_note.setText("Click a row to go to the object.")


def _column(parent: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 0, 0)
    return column


def _fill(box: QComboBox, texts: Iterable[str]) -> None:
    box.blockSignals(True)
    box.clear()
    box.addItems(texts)
    box.blockSignals(False)


def _legend(*, other: bool) -> str:
    shown = [value for value in MEANING if other or value != OTHER]
    return "&nbsp;&nbsp; ".join(
        f'<span style="color:{COLORS[value]}">&#9632;</span> {MEANING[value][0]}' for value in shown
    )
