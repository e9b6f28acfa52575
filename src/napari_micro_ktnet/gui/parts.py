"""Small pieces that the forms of the widgets are made of."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QWidget,
)

# Coloured text would be hard to read in one of the two themes: a coloured edge is seen in both.
_CAPTION_WIDTH, _HEADER_HEIGHT = 104, 26
_EDGES = {"problem": "#e5534b", "warning": "#f0b849", "good": "#3fb950"}


def combo(*texts: str) -> QComboBox:
    """Make a choice that gets as narrow as it must."""
    box = QComboBox()
    box.addItems(texts)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box


def narrow(box: QComboBox, width: int) -> QComboBox:
    """Give a choice beside another field its width."""
    box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    box.setFixedWidth(width)
    return box


def caption(text: str) -> QLabel:
    """Name a field, so wide that the fields of all parts begin at one line."""
    label = QLabel(text)
    label.setFixedWidth(_CAPTION_WIDTH)
    return label


def tool(text: str, help_text: str, width: int = 32) -> QPushButton:
    """Make a small button beside a field."""
    button = QPushButton(text)
    button.setToolTip(help_text)
    button.setFixedWidth(width)
    return button


def note() -> QLabel:
    """Make a line of text that wraps."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def say(label: QLabel, text: str, kind: str = "") -> None:
    """Show a sentence, with an edge in the colour of its kind: problem, warning or good."""
    edge = _EDGES.get(kind)
    label.setStyleSheet(f"border-left: 3px solid {edge}; padding-left: 6px;" if edge and text else "")
    label.setText(text)
    label.setVisible(bool(text))


def form_layout(parent: QWidget) -> QFormLayout:
    """Make a form without margins whose fields take all the width."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def row(*widgets: QWidget) -> QHBoxLayout:
    """Put widgets side by side; the first takes the width that is left."""
    line = QHBoxLayout()
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget, 1 if widget is widgets[0] else 0)
    return line


def folding(text: str, part: QWidget) -> QToolButton:
    """Make a button that unfolds a part of a form, which is folded at first."""
    button = QToolButton()
    button.setText(text)
    button.setCheckable(True)
    button.setArrowType(Qt.ArrowType.RightArrow)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setAutoRaise(True)
    part.hide()

    def unfold(show: bool) -> None:
        part.setVisible(show)
        button.setArrowType(Qt.ArrowType.DownArrow if show else Qt.ArrowType.RightArrow)

    button.toggled.connect(unfold)
    return button


def set_up_table(table: QTableWidget, columns: Mapping[str, str], fixed: int, width: int) -> None:
    """Make a table of layers: titles with help, one column of a fixed width, nothing to select or edit.

    Parameters
    ----------
    table : QTableWidget
        With as many columns as there are names.
    columns : mapping of str to str
        Name and help of each column.
    fixed, width : int
        Index of the column that does not stretch, and its width.
    """
    header = QHeaderView(Qt.Orientation.Horizontal)
    table.setHorizontalHeader(header)
    for column, title in enumerate(columns):
        item = QTableWidgetItem(title.capitalize())
        item.setToolTip(columns[title])
        table.setHorizontalHeaderItem(column, item)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    header.setSectionResizeMode(fixed, QHeaderView.ResizeMode.Fixed)
    table.setColumnWidth(fixed, width)
    header.setFixedHeight(_HEADER_HEIGHT)
    rows = QHeaderView(Qt.Orientation.Vertical)
    table.setVerticalHeader(rows)
    rows.hide()
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setWordWrap(False)


def fit_table(table: QTableWidget, row_height: int, most: int) -> None:
    """Make a table as high as its rows, at least one and at most `most` of them."""
    table.setFixedHeight(_HEADER_HEIGHT + row_height * max(1, min(most, table.rowCount())) + 4)
