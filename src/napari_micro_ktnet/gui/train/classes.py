"""Names and colours of the classes, to edit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui.parts import tool
from napari_micro_ktnet.gui.train.data import COLORS, MATRIX, MOST_CLASSES
from napari_micro_ktnet.model.spec import AGGLOMERATE, LabelClass

_HELP = "Name of the class, as it is shown with results."


class ClassList(QWidget):
    """The classes besides matrix, in the order of their labels."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.classes: tuple[LabelClass, ...] = ()
        self.edited = False
        self.names: list[QLineEdit] = []
        self.swatches: list[QPushButton] = []
        self.add = tool("+", "Add a class")
        self.remove = tool("-", "Remove the last class")
        self._rows = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._rows)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        self.show_classes((AGGLOMERATE,))

    def show_classes(self, classes: Sequence[LabelClass]) -> None:
        """Show these instead."""
        self.classes = tuple(classes)
        for button in (self.add, self.remove):
            button.setParent(self)
            button.show()
        while (item := self._rows.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.hide()
                old.deleteLater()
        self.names, self.swatches = [], []
        for number, each in enumerate(self.classes):
            self._rows.addWidget(self._row(number, each))
        self.add.setEnabled(len(self.classes) < MOST_CLASSES)
        self.remove.setEnabled(len(self.classes) > 1)
        self.changed.emit()

    def take_up(self, found: Sequence[LabelClass]) -> None:
        """Show the classes of layers, unless a user edited these; new ones are added in any case."""
        known = () if not self.edited else self.classes
        merged = _distinct((*known, *found[len(known) :]))
        if merged and merged != self.classes:
            self.show_classes(merged)

    def problem(self) -> str:
        """Mark bad names and say the first problem; empty if there is none."""
        names = [line.text().strip() for line in self.names]
        problems = []
        for line, name in zip(self.names, names, strict=True):
            text = ""
            if not name or len(name) > 80:
                text = "Give every class a name of up to 80 letters."
            elif names.count(name) > 1 or name == MATRIX.name:
                text = f"The name {name!r} is taken: class names must differ, and 'matrix' is the rest."
            inputs.mark(line, text, _HELP)
            problems.append(text)
        return next((text for text in problems if text), "")

    def set_color(self, number: int, color: str) -> None:
        """Give a class another colour."""
        self.edited = True
        each = self.classes[number].model_copy(update={"color": color})
        self.show_classes((*self.classes[:number], each, *self.classes[number + 1 :]))

    def _row(self, number: int, each: LabelClass) -> QWidget:
        holder = QWidget()
        line = QHBoxLayout(holder)
        line.setContentsMargins(0, 0, 0, 0)
        swatch, name = QPushButton(), QLineEdit(each.name)
        swatch.setFixedSize(24, 24)
        swatch.setStyleSheet(f"background-color: {each.color}; border-radius: 3px;")
        swatch.setToolTip("Choose another colour")
        swatch.clicked.connect(partial(self._choose_color, number))
        name.textEdited.connect(partial(self._rename, number))
        name.setToolTip(_HELP)
        line.addWidget(swatch)
        line.addWidget(name, 1)
        if number == len(self.classes) - 1:
            line.addWidget(self.remove)
            line.addWidget(self.add)
        self.names.append(name)
        self.swatches.append(swatch)
        return holder

    def _rename(self, number: int, text: str) -> None:
        self.edited = True
        if text.strip() and len(text.strip()) <= 80:
            each = self.classes[number].model_copy(update={"name": text.strip()})
            self.classes = (*self.classes[:number], each, *self.classes[number + 1 :])
        self.changed.emit()

    def _choose_color(self, number: int) -> None:
        color = QColorDialog.getColor(QColor(self.classes[number].color), self)
        if color.isValid():
            self.set_color(number, color.name())

    def _add(self) -> None:
        self.edited = True
        self.show_classes(_distinct((*self.classes, _new(len(self.classes)))))

    def _remove(self) -> None:
        self.edited = True
        self.show_classes(self.classes[:-1])


def _new(number: int) -> LabelClass:
    return LabelClass(name=f"class {number + 1}", color=COLORS[number % len(COLORS)])


def _distinct(classes: Sequence[LabelClass]) -> tuple[LabelClass, ...]:
    """Give classes that have the name of an earlier one another name."""
    made: list[LabelClass] = []
    for number, each in enumerate(classes):
        taken = {c.name for c in made} | {MATRIX.name}
        name = each.name if each.name not in taken else f"class {number + 1}"
        while name in taken:
            name += "'"
        made.append(each.model_copy(update={"name": name}))
    return tuple(made)
