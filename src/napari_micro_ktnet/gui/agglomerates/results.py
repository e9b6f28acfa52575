"""What the Agglomerates widget shows of a measurement: verdict, tables, plots, gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QApplication, QCheckBox, QLabel, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from napari_micro_ktnet.gui.agglomerates.export import ExportPart
from napari_micro_ktnet.gui.agglomerates.gallery import Gallery
from napari_micro_ktnet.gui.agglomerates.plots import RipleyPlot, SizeHistogram, describe_ripley
from napari_micro_ktnet.gui.agglomerates.rows import ObjectRows, class_columns, field_columns, object_rows
from napari_micro_ktnet.gui.agglomerates.text import (
    class_texts,
    figure_rows,
    unit_of,
    verdict_reasons,
    verdict_text,
)
from napari_micro_ktnet.gui.parts import caption, combo, note, row, say
from napari_micro_ktnet.gui.tables import ColumnTable, ScoreTable

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

    from napari_micro_ktnet.gui.agglomerates.run import Measured

_HEIGHT = 480
_MOST_REASONS = 8
_FIGURES, _SIZES, _OBJECTS, _LARGEST, _FIELDS, _RIPLEY = range(6)
_HELP = {
    "alone": "Hide the layers that were measured, so that the colours of the size classes are true.",
    "by": "Bars and curve by number of agglomerates, or by their area.",
    "of_field": "Field whose L(r) is shown.",
}


class ResultsPart(QWidget):
    """Everything about one measurement."""

    object_chosen = Signal(int)
    field_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.measured: Measured | None = None
        self.objects: ObjectRows | None = None
        self.verdict = note()
        self.reasons = [note() for _ in range(_MOST_REASONS)]
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.alone = QCheckBox("Hide the measured labels")
        self.alone.setChecked(True)
        self.figures, self.object_table = ScoreTable(), ColumnTable()
        self.classes, self.fields = ColumnTable(), ColumnTable()
        self.by = combo("by number", "by area")
        self.histogram = SizeHistogram()
        self.gallery = Gallery()
        self.of_field = combo()
        self.ripley, self.ripley_note = RipleyPlot(), note()
        self.export = ExportPart()
        self.tabs = QTabWidget()
        self._lay_out()
        for name, text in _HELP.items():
            getattr(self, name).setToolTip(text)
        self.by.currentIndexChanged.connect(self._show_histogram)
        self.of_field.currentIndexChanged.connect(self._show_ripley)
        self.object_table.chosen.connect(self.object_chosen)
        self.gallery.chosen.connect(self.object_chosen)
        self.fields.chosen.connect(self.field_chosen)
        self.export.copy.clicked.connect(self.copy_table)

    def show_measured(self, measured: Measured) -> None:
        """Show another result."""
        found = measured.measurement
        self.measured, self.objects = measured, object_rows(found)
        self.show_verdict()
        self.figures.set_rows(figure_rows(found.pooled))
        self.classes.set_columns(class_columns(found))
        self.object_table.set_columns(self.objects.columns)
        self.fields.set_columns(field_columns(found))
        self.gallery.show_objects(measured, self.objects)
        self.legend.setText(self._legend())
        many = len(measured.fields) > 1
        self.tabs.setTabVisible(_FIELDS, many)
        self.tabs.setTabVisible(_RIPLEY, measured.options.ripley)
        self.field_part.setVisible(many)
        _fill(self.of_field, [f.summary.name for f in found.fields])
        self._show_histogram()
        self._show_ripley()
        self.show()

    def copy_table(self) -> None:
        """Put the table of the tab in front on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join("\t".join(cells) for cells in self._texts()))

    def _texts(self) -> list[list[str]]:
        index = self.tabs.currentIndex()
        tables = {_SIZES: self.classes, _FIELDS: self.fields}
        if index in (_OBJECTS, _LARGEST):
            return self.object_table.rows.texts()
        return tables[index].rows.texts() if index in tables else self.figures.texts()

    def show_verdict(self, *, shown: bool = True) -> None:
        """Show the verdict and its reasons, or hide them where they would contradict a problem."""
        verdict = self.measured.measurement.verdict if self.measured and shown else None
        headline, kind = verdict_text(verdict) if verdict else ("", "")
        say(self.verdict, headline, kind)
        reasons = verdict_reasons(verdict) if verdict else []
        for index, label in enumerate(self.reasons):
            say(label, *(reasons[index] if index < len(reasons) else ("", "")))

    def _show_histogram(self) -> None:
        if self.measured is None or self.objects is None:
            return
        pooled = self.measured.measurement.pooled
        degree = pooled.agglomerate_degree
        self.histogram.show_sizes(
            self.objects,
            [c.low for c in pooled.size_classes],
            self._colors(),
            degree.d_star_um if degree else None,
            by_area=self.by.currentIndex() == 1,
        )

    def _show_ripley(self) -> None:
        if self.measured is None or self.of_field.currentIndex() < 0:
            return
        record = self.measured.measurement.fields[self.of_field.currentIndex()].summary.ripley
        self.ripley.show_record(record)
        self.ripley_note.setText(describe_ripley(record))

    def _colors(self) -> list[str]:
        from napari_micro_ktnet.gui.agglomerates.layers import size_colors

        count = len(self.measured.measurement.pooled.size_classes) if self.measured else 0
        return size_colors(count)

    def _legend(self) -> str:
        pooled = self.measured.measurement.pooled if self.measured else None
        if pooled is None or not pooled.size_classes:
            return ""
        entries = [
            f'<span style="white-space:nowrap"><span style="color:{color}">&#9632;</span>&nbsp;{text}</span>'
            for color, text in zip(self._colors(), class_texts(pooled.size_classes), strict=True)
        ]
        return f"ECD, {unit_of(pooled)}:&nbsp; " + " &nbsp;".join(entries)

    def _lay_out(self) -> None:
        sizes = QWidget()
        column = _column(sizes)
        for part in (self.by, self.histogram, self.classes):
            column.addWidget(part)
        self.field_part = QWidget()
        line = row(self.of_field)
        line.insertWidget(0, caption("Field"))
        self.field_part.setLayout(line)
        ripley = QWidget()
        column = _column(ripley)
        for each in (self.field_part, self.ripley, self.ripley_note):
            column.addWidget(each)
        column.addStretch(1)
        pages: tuple[tuple[QWidget, str], ...] = (
            (self.figures, "Figures"),
            (sizes, "Sizes"),
            (self.object_table, "Objects"),
            (_scrolling(self.gallery), "Largest"),
            (self.fields, "Fields"),
            (_scrolling(ripley), "L(r)"),
        )
        for page, title in pages:
            self.tabs.addTab(page, title)
        self.tabs.setMinimumHeight(_HEIGHT)
        column = _column(self)
        font = self.verdict.font()
        font.setBold(True)
        self.verdict.setFont(font)
        shown: list[QWidget] = [self.verdict, *self.reasons, self.legend, self.alone, self.tabs, self.export]
        for widget in shown:
            column.addWidget(widget, int(widget is self.tabs))


def _column(parent: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 0, 0)
    return column


def _scrolling(page: QWidget) -> QScrollArea:
    # Without it, text that wraps in a page that is not seen would make the whole form too high.
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidget(page)
    return area


def _fill(box: QComboBox, texts: list[str]) -> None:
    box.blockSignals(True)
    box.clear()
    box.addItems(texts)
    box.blockSignals(False)
