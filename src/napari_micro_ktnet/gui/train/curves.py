"""Curves of losses and scores, drawn with Qt alone so that they follow the viewer's theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from napari_micro_ktnet.gui.train.history import History
    from napari_micro_ktnet.model.spec import LabelClass

TRAINING, VALIDATION = "#4c9be8", "#f0883e"
_HEIGHT = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 20, 18
_HIGH_PERCENTILE = 99


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes
    ----------
    name : str
        In the legend; none without it.
    color : str
        ``#rrggbb``.
    points : sequence of (step, value)
        Sorted by step.
    faint : bool
        Thin and without dots.
    """

    name: str
    color: str
    points: Sequence[tuple[float, float]]
    faint: bool = False


class CurvePlot(QWidget):
    """Curves over training steps.

    Parameters
    ----------
    title : str
        Drawn above.
    top : float, optional
        Upper end of the vertical axis; without it that of the values.
    along : str
        What runs along the horizontal axis.
    """

    def __init__(self, title: str, top: float | None = None, along: str = "step") -> None:
        super().__init__()
        self._title, self._fixed_top, self._along = title, top, along
        self._curves: Sequence[Curve] = ()
        self._steps = 1
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_curves(self, curves: Sequence[Curve], steps: int) -> None:
        """Draw curves over an axis from 0 to `steps`."""
        self._curves, self._steps = curves, max(1, steps)
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw everything."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        area = plot_area(self)
        top = self._fixed_top or self._top()
        self._draw_axes(painter, area, text, top)
        self._draw_legend(painter, area, text)
        painter.setClipRect(area.adjusted(-2, -2, 2, 2))
        for curve in self._curves:
            self._draw_curve(painter, area, curve, top)
        painter.end()

    def _top(self) -> float:
        values = [v for curve in self._curves for _, v in curve.points if np.isfinite(v)]
        return float(np.percentile(values, _HIGH_PERCENTILE)) * 1.1 if values else 1.0

    def _draw_axes(self, painter: QPainter, area: QRectF, text: QColor, top: float) -> None:
        line = QColor(text)
        line.setAlpha(70)
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.setPen(QPen(line, 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(text)
            box = QRectF(0, y - 8, _LEFT - 5, 16)
            where = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box, where, _number(share * top))
        below = QRectF(area.left(), area.bottom() + 2, area.width(), _BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self._along} {self._steps}")

    def _draw_legend(self, painter: QPainter, area: QRectF, text: QColor) -> None:
        painter.setPen(text)
        painter.drawText(QRectF(2, 0, area.width(), _TOP), Qt.AlignmentFlag.AlignLeft, self._title)
        x = area.right()
        for curve in reversed([c for c in self._curves if c.name]):
            width = painter.fontMetrics().horizontalAdvance(curve.name)
            x -= width
            painter.setPen(text)
            painter.drawText(QPointF(x, painter.fontMetrics().ascent() + 1), curve.name)
            x -= 18
            painter.setPen(QPen(QColor(curve.color), 2))
            painter.drawLine(QPointF(x, _TOP / 2 - 2), QPointF(x + 13, _TOP / 2 - 2))
            x -= 10

    def _draw_curve(self, painter: QPainter, area: QRectF, curve: Curve, top: float) -> None:
        color = QColor(curve.color)
        color.setAlpha(110 if curve.faint else 255)
        right, up = area.width() / self._steps, area.height() / top
        points = [
            QPointF(area.left() + step * right, area.bottom() - value * up)
            for step, value in curve.points
            if np.isfinite(value)
        ]
        painter.setPen(QPen(color, 1 if curve.faint else 2))
        painter.drawPolyline(QPolygonF(points))
        if not curve.faint:
            painter.setBrush(color)
            for point in points:
                painter.drawEllipse(point, 1.5, 1.5)
            painter.setBrush(Qt.BrushStyle.NoBrush)


def plot_area(plot: QWidget) -> QRectF:
    """Where in a plot its curves are drawn."""
    return QRectF(_LEFT, _TOP, plot.width() - _LEFT - _RIGHT, plot.height() - _TOP - _BOTTOM)


def loss_curves(history: History) -> list[Curve]:
    """Training loss of each step and its mean between validations, and validation loss."""
    found = sorted(history.validations.items())
    return [
        Curve("", TRAINING, sorted(history.losses.items()), faint=True),
        Curve("training", TRAINING, [(s, float(v["training_loss"])) for s, v in found]),
        Curve("validation", VALIDATION, [(s, float(v["validation_loss"])) for s, v in found]),
    ]


def score_curves(history: History, classes: Sequence[LabelClass]) -> list[Curve]:
    """Give the validation IoU of each class."""
    found = sorted(history.validations.items())
    return [
        Curve(
            each.name,
            # A single class needs no colour of its own, and not every one is seen on both themes.
            each.color if len(classes) > 1 else VALIDATION,
            [(s, v[f"iou_{each.name}"]) for s, v in found if v.get(f"iou_{each.name}") is not None],
        )
        for each in classes
    ]


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"
