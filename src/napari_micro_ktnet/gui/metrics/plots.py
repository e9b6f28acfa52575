"""Plots of the Metrics widget, drawn with Qt alone so that they follow the viewer's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_micro_ktnet.gui.train.curves import Curve, CurvePlot, plot_area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_micro_ktnet.measurement.curve import ThresholdCurve
    from napari_micro_ktnet.measurement.object_scores import SizeClass

_LINES = {"iou": ("IoU", "#4c9be8"), "precision": ("precision", "#f0883e"), "recall": ("recall", "#3fb950")}
_FOUND, _MISSED = "#4c9be8", "#808080"
_HEIGHT = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 24, 34


class ThresholdPlot(CurvePlot):
    """Scores against the threshold, with a line where it is now."""

    def __init__(self) -> None:
        super().__init__("Pixel scores", top=1.0, along="threshold")
        self.setFixedHeight(_HEIGHT)
        self.threshold: float | None = None

    def show_scores(self, curve: ThresholdCurve, threshold: float | None) -> None:
        """Draw a curve; `threshold` is marked if it is known."""
        self.threshold = threshold
        lines = [
            Curve(
                text,
                color,
                [(t, getattr(s, key)) for t, s in zip(curve.thresholds, curve.scores, strict=True)],
            )
            for key, (text, color) in _LINES.items()
        ]
        self.show_curves(lines, 1)

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the curves, then the mark."""
        super().paintEvent(event)
        if self.threshold is None:
            return
        painter = QPainter(self)
        area = plot_area(self)
        x = area.left() + self.threshold * area.width()
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.WindowText), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.end()


def describe_curve(curve: ThresholdCurve, of: str, threshold: float | None) -> str:
    """Say where IoU is best and how far from that it is now."""
    iou = np.array([s.iou for s in curve.scores])
    if np.isnan(iou).all():
        return f"{of}: no IoU at any threshold, because the class is not in the truth."
    best = int(np.nanargmax(iou))
    text = f"{of}: IoU is best, {iou[best]:.3f}, at a threshold of {curve.thresholds[best]:.2f}"
    if threshold is None:
        return text + "."
    now = iou[int(np.abs(np.array(curve.thresholds) - threshold).argmin())]
    return f"{text}; it is {now:.3f} at {threshold:.2f}, where the labels were made (dashed)."


class SizeBars(QWidget):
    """Objects of each size class: how many there are, and how many of them are found."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._sizes: Sequence[SizeClass] = ()
        self._unit = ""

    def show_sizes(self, sizes: Sequence[SizeClass], unit: str) -> None:
        """Draw these size classes."""
        self._sizes, self._unit = sizes, unit
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw a pair of bars for each class; the edges of the classes are written between them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(text)
        centre = Qt.AlignmentFlag.AlignHCenter
        painter.drawText(
            QRectF(2, 0, self.width(), _TOP),
            Qt.AlignmentFlag.AlignLeft,
            "True objects (grey), and those found (blue)",
        )
        area = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        below = QRectF(area.left(), area.bottom() + 17, area.width(), 16)
        painter.drawText(below, centre, f"equivalent diameter, {self._unit}")
        most = max((s.detection.tp + s.detection.fn for s in self._sizes), default=0) or 1
        self._draw_axis(painter, area, text, most)
        step = area.width() / max(1, len(self._sizes))
        for i, size in enumerate(self._sizes):
            left = area.left() + i * step
            found, total = size.detection.tp, size.detection.tp + size.detection.fn
            for value, color in ((total, _MISSED), (found, _FOUND)):
                height = area.height() * 0.88 * value / most
                bar = QRectF(left + 0.15 * step, area.bottom() - height, 0.7 * step, height)
                painter.fillRect(bar, QColor(color))
            top = area.bottom() - area.height() * 0.88 * total / most
            painter.drawText(QRectF(left, top - 16, step, 15), centre, f"{found}/{total}")
            if size.low:
                painter.drawText(QRectF(left - 30, area.bottom() + 2, 60, 15), centre, f"{size.low:g}")
        painter.end()

    @staticmethod
    def _draw_axis(painter: QPainter, area: QRectF, text: QColor, most: int) -> None:
        line = QColor(text)
        line.setAlpha(70)
        where = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value in (0, most):
            y = area.bottom() - area.height() * 0.88 * value / most
            painter.setPen(QPen(line, 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(text)
            painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), where, str(value))
