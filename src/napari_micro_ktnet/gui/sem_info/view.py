"""The form of the SEM info widget: fields, tables and their looks, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtCore import QSortFilterProxyModel, Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.inputs import LayerCombo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel

_LABELS_WIDTH = 110
_KEYS_WIDTH = 150
_RAW_HEIGHT = 260
# Coloured text would be hard to read in one of the two themes: a coloured edge is seen in both.
_WARNING = "border-left: 3px solid #f0b849; padding-left: 6px;"
_PROBLEM = "border-left: 3px solid #e5534b; padding-left: 6px;"
_BAD = "QLineEdit { border: 1px solid #e5534b; border-radius: 2px; }"

HELP = {
    "image": "The image layer to look at. It follows the layer that is selected in the viewer.",
    "size_x": "Width of a pixel.",
    "size_y": "Height of a pixel.",
    "unit": "Unit of the pixel size.",
    "square": "Pixels are as high as they are wide.",
    "measure": "Draw a line over the burnt-in scale bar and type its length.",
    "length": "What is written at the scale bar.",
    "apply": "Set the pixel size. Pixels are not changed.",
    "reset": "Go back to what the file says.",
    "copy_text": "Copy all but the vendor's keys as lines of text.",
    "copy_json": "Copy with the keys of: micro-ktnet info --json",
    "filter": "Show only rows with this text.",
    "copy_raw": "Copy the rows that are shown, to paste into a spreadsheet.",
}


class KeyTable(QTableView):
    """Two columns of text, which a filter can narrow down.

    Parameters
    ----------
    first_width : int
        Width of the first column in pixels; the second takes the rest.
    titles : tuple of str, optional
        Of the columns, whose border can then be moved; without them there is no header.
    """

    def __init__(self, first_width: int, titles: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._all: list[tuple[str, str]] = []
        self._rows = QStandardItemModel(0, 2, self)
        self._shown = QSortFilterProxyModel(self)
        self._shown.setSourceModel(self._rows)
        self._shown.setFilterKeyColumn(-1)
        self._shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setModel(self._shown)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self._rows.setHorizontalHeaderLabels(titles or ("", ""))
        header, side = self.horizontalHeader(), self.verticalHeader()
        if header is not None and side is not None:
            header.setVisible(titles is not None)
            header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
            header.setStretchLastSection(True)
            header.resizeSection(0, first_width)
            side.hide()
            side.setMinimumSectionSize(10)
            side.setDefaultSectionSize(self.fontMetrics().height() + 6)

    def set_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Show these rows instead."""
        rows = list(rows)
        if rows == self._all:
            return
        self._all = rows
        self._rows.removeRows(0, self._rows.rowCount())
        for row in rows:
            items = [QStandardItem(text) for text in row]
            for item in items:
                item.setToolTip(item.text())
            self._rows.appendRow(items)

    def set_tip(self, row: int, text: str) -> None:
        """Say more about the value of a row."""
        item = self._rows.item(row, 1)
        if item is not None:
            item.setToolTip(text)

    def set_filter(self, text: str) -> None:
        """Show only rows that contain a text."""
        self._shown.setFilterFixedString(text)

    def rows(self) -> list[tuple[str, str]]:
        """Rows that are shown."""
        model = self._shown
        return [
            (str(model.index(i, 0).data()), str(model.index(i, 1).data())) for i in range(model.rowCount())
        ]

    def fit_height(self) -> None:
        """Be as high as all rows."""
        rows = sum(self.rowHeight(i) for i in range(self._shown.rowCount()))
        self.setFixedHeight(rows + 2 * self.frameWidth())


class SemInfoForm(QWidget):
    """All fields of the widget."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.image = LayerCombo(viewer, Image)
        self.image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.statement = _note("font-weight: bold;")
        self.warning = _note(_WARNING)
        self.size_x, self.size_y, self.length = QLineEdit(), QLineEdit(), QLineEdit()
        self.times = QLabel("x")
        self.unit = _units("nm", "um")
        self.square = QCheckBox("Square pixels")
        self.measure = QPushButton("Measure scale bar")
        self.measuring = QWidget()
        self.length_unit = _units("nm", "um", "mm")
        self.length_unit.setCurrentText("um")
        self.measured = _note()
        self.problem = _note(_PROBLEM)
        self.others = QCheckBox()
        self.others.setChecked(True)
        self.apply = QPushButton("Apply")
        self.reset = QPushButton("Reset to file")
        self.table = KeyTable(_LABELS_WIDTH)
        self.copy_text, self.copy_json = QPushButton("Copy as text"), QPushButton("Copy as JSON")
        self.raw = QToolButton()
        self.raw_part = QWidget()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter keys and values")
        self.filter.setClearButtonEnabled(True)
        self.copy_raw = QPushButton("Copy")
        self.raw_table = KeyTable(_KEYS_WIDTH, ("key", "value"))
        self.raw_table.setFixedHeight(_RAW_HEIGHT)
        self._lay_out()
        self._prepare_raw()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    def show_problem(self, problem: str, *, measuring: bool) -> None:
        """Say what is wrong with what was typed, and where; nothing if the text is empty."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        for field in (self.size_x, self.size_y, self.length):
            bad = bool(problem) and (field is self.length) == measuring
            field.setStyleSheet(_BAD if bad else "")

    def show_measuring(self, show: bool) -> None:
        """Show or hide what is needed to measure the scale bar; the outcome is not typed then."""
        self.measuring.setVisible(show)
        self.measure.setText("Cancel measuring" if show else "Measure scale bar")
        for field in (self.size_x, self.size_y, self.unit, self.square):
            field.setEnabled(not show)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addLayout(_row(QLabel("Image"), self.image))
        column.addWidget(self.statement)
        column.addWidget(self.warning)
        self.size_part = QWidget()
        part = _column(self.size_part)
        part.addWidget(self.measure)
        form = QFormLayout(self.measuring)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.measured)
        form.addRow("Bar length", _row(self.length, self.length_unit))
        part.addWidget(self.measuring)
        part.addLayout(_row(QLabel("Pixel size"), self.size_x, self.times, self.size_y, self.unit))
        for widget in (self.square, self.problem, self.others):
            part.addWidget(widget)
        part.addLayout(_row(self.apply, self.reset))
        column.addWidget(self.size_part)
        column.addWidget(self.table)
        column.addLayout(_row(self.copy_text, self.copy_json))
        column.addWidget(self.raw)
        column.addWidget(self.raw_part)
        part = _column(self.raw_part)
        part.addLayout(_row(self.filter, self.copy_raw))
        part.addWidget(self.raw_table)
        column.addStretch(1)

    def _prepare_raw(self) -> None:
        self.raw.setCheckable(True)
        self.raw.setArrowType(Qt.ArrowType.RightArrow)
        self.raw.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.raw.setAutoRaise(True)
        self.raw.toggled.connect(self._unfold)
        self.raw_part.hide()
        self.measuring.hide()

    def _unfold(self, show: bool) -> None:
        self.raw_part.setVisible(show)
        self.raw.setArrowType(Qt.ArrowType.DownArrow if show else Qt.ArrowType.RightArrow)


def _units(*names: str) -> QComboBox:
    combo = QComboBox()
    combo.addItems(names)
    combo.setFixedWidth(72)
    return combo


def _note(style: str = "") -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setStyleSheet(style)
    return label


def _column(parent: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 0, 0)
    return column


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return row
