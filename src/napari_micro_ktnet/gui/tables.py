"""Tables of the Metrics and Agglomerates widgets; rows of objects cost nothing until they are seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_COLUMNS = 4
_DOT = 10
_WIDEST, _PADDING = 90, 12
_SAMPLED = 200
_TITLE_BACKGROUND = QColor(128, 128, 128, 60)


Cell = tuple[str, str]
"""What is shown, and its tooltip."""


@dataclass(frozen=True)
class ScoreRow:
    """One line.

    Attributes
    ----------
    cells : tuple of (text, tooltip)
        Up to four; all but the first lie at the right side.
    title : bool
        It begins a section, and names its columns.
    """

    cells: tuple[Cell, ...]
    title: bool = False


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a `ColumnModel`.

    Attributes
    ----------
    title : str
        In the header.
    values : ndarray, (N,)
        What it is sorted by.
    text : callable
        Makes the shown text of a value.
    tip : str
        Tooltip of the header.
    missing : str
        Tooltip of values that are not defined.
    colors : dict of value to str
        A dot beside some values.
    """

    title: str
    values: NDArray[Any]
    text: Callable[[Any], str] = str
    tip: str = ""
    missing: str = ""
    colors: dict[str, str] | None = None


class ColumnModel(QAbstractTableModel):
    """Columns of arrays that are sorted and filtered as arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: Sequence[Column] = ()
        self.order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._shown: NDArray[np.bool_] = np.zeros(0, bool)
        self._sorted: tuple[int, bool] | None = None

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns, unsorted and unfiltered."""
        self.beginResetModel()
        self.columns, self._sorted = columns, None
        count = len(columns[0].values) if columns else 0
        self._shown = np.ones(count, bool)
        self.order = np.arange(count)
        self.endResetModel()

    def show_only(self, rows: NDArray[np.bool_]) -> None:
        """Show only rows of the columns that are True, ``(N,)``."""
        self.beginResetModel()
        self._shown = rows
        self._arrange()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is not defined comes last either way."""
        if not 0 <= column < len(self.columns):
            return
        self.beginResetModel()
        self._sorted = (column, order == Qt.SortOrder.DescendingOrder)
        self._arrange()
        self.endResetModel()

    def texts(self) -> list[list[str]]:
        """Titles and all rows that are shown, as shown."""
        body = [[c.text(c.values[row]) for c in self.columns] for row in self.order]
        return [[c.title for c in self.columns], *body]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Rows that are shown."""
        return len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Columns."""
        return len(self.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip, alignment or colour of a cell."""
        if not index.isValid():
            return None
        column = self.columns[index.column()]
        value = column.values[self.order[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(value)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.missing if _missing(value) else column.text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column.values.dtype.kind in "iuf" else _LEFT
        if role == Qt.ItemDataRole.DecorationRole and column.colors:
            color = column.colors.get(str(value))
            return QColor(color) if color else None
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Title of a column, and what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        texts = {Qt.ItemDataRole.DisplayRole: "title", Qt.ItemDataRole.ToolTipRole: "tip"}
        return getattr(self.columns[section], texts[role]) if role in texts else None  # type: ignore[index]

    def _arrange(self) -> None:
        rows = np.flatnonzero(self._shown)
        if self._sorted is not None:
            column, descending = self._sorted
            values = self.columns[column].values[rows]
            rank = np.unique(values, return_inverse=True)[1].astype(np.int64)
            rank = -rank if descending else rank
            if values.dtype.kind == "f":
                rank[np.isnan(values)] = np.iinfo(np.int64).max
            rows = rows[np.argsort(rank, kind="stable")]
        self.order = rows


class ColumnTable(QTableView):
    """A view of a `ColumnModel` that tells which row was chosen."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.rows = ColumnModel()
        self.setModel(self.rows)
        _prepare(self)
        self.setSortingEnabled(True)
        header = self.horizontalHeader()
        if header is not None:
            header.setSortIndicatorClearable(True)
            header.setMinimumSectionSize(24)
            header.setStyleSheet("QHeaderView::section { padding: 1px 2px; }")
        self.clicked.connect(self._tell)
        self.activated.connect(self._tell)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns, unsorted."""
        header = self.horizontalHeader()
        if header is not None:
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.rows.set_columns(columns)
        # Qt would leave room for a sort indicator everywhere, and seven columns must fit into a dock.
        wide = self.fontMetrics().horizontalAdvance
        for index, column in enumerate(columns):
            texts = [column.title, *(column.text(value) for value in column.values[:_SAMPLED])]
            dot = _DOT + 4 if column.colors else 0
            self.setColumnWidth(index, min(_WIDEST, max(map(wide, texts)) + dot + _PADDING))

    def _tell(self, index: QModelIndex) -> None:
        self.chosen.emit(int(self.rows.order[index.row()]))


class ScoreTable(QTableView):
    """Scores in sections."""

    def __init__(self) -> None:
        super().__init__()
        self._cells = QStandardItemModel(0, _COLUMNS, self)
        self.setModel(self._cells)
        self._lines: Sequence[ScoreRow] = ()
        _prepare(self)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        header = self.horizontalHeader()
        if header is not None:
            header.hide()
            header.setMinimumSectionSize(20)
            for column in range(_COLUMNS):
                modes = QHeaderView.ResizeMode
                header.setSectionResizeMode(column, modes.ResizeToContents if column else modes.Stretch)

    def set_rows(self, lines: Sequence[ScoreRow]) -> None:
        """Show these lines instead."""
        self._lines = lines
        self.clearSpans()
        self._cells.removeRows(0, self._cells.rowCount())
        for row, line in enumerate(lines):
            unused = _COLUMNS - len(line.cells)
            cells = [line.cells[0], *[("", "")] * unused, *line.cells[1:]]
            items = []
            for column, (text, tip) in enumerate(cells):
                item = QStandardItem(text)
                item.setToolTip(tip)
                item.setTextAlignment(Qt.AlignmentFlag(_RIGHT if column else _LEFT))
                if line.title:
                    font = item.font()
                    font.setBold(column == 0)
                    item.setFont(font)
                    item.setBackground(_TITLE_BACKGROUND)
                items.append(item)
            self._cells.appendRow(items)
            if unused:
                # Names are long: they get the room of the columns that a line does not need.
                self.setSpan(row, 0, 1, unused + 1)

    def texts(self) -> list[list[str]]:
        """All cells, line by line."""
        return [[text for text, _ in line.cells] for line in self._lines]


def _prepare(table: QTableView) -> None:
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setIconSize(QSize(_DOT, _DOT))
    side = table.verticalHeader()
    if side is not None:
        side.hide()
        side.setMinimumSectionSize(10)
        side.setDefaultSectionSize(table.fontMetrics().height() + 6)


def _missing(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))


def plain(value: float, digits: int = 4) -> str:
    """Write a quantity with some digits, or n/a."""
    if math.isnan(value):
        return "n/a"
    # Never as a power of ten.
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
