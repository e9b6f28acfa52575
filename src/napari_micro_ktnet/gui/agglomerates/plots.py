"""Plots of the Agglomerates widget, drawn with Qt alone so that they follow the viewer's theme."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.agglomerates.rows import ObjectRows
    from napari_micro_ktnet.measurement.summary import RipleyRecord

_BAND, _BARS = "#808080", "#4c9be8"
_HEIGHT = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 36, 26, 36
_ROOM = 0.92
_CENTRE = Qt.AlignmentFlag.AlignHCenter
_TO_LEFT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_TO_RIGHT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class SizeHistogram(QWidget):
    """Sizes on a log axis: bars by number or by area, and the cumulative curve."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.edges: NDArray[np.float64] = np.zeros(0)
        self.bars: NDArray[np.float64] = np.zeros(0)
        self.curve: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.zeros(0), np.zeros(0))
        self.empty = ""
        self._colors: list[str] = []
        self._by_area = False
        self._unit = ""
        self._d_star: float | None = None

    def show_sizes(
        self,
        objects: ObjectRows,
        lows: Sequence[float],
        colors: Sequence[str],
        d_star: float | None,
        by_area: bool,
    ) -> None:
        """Draw the sizes of the objects that count.

        Parameters
        ----------
        objects : ObjectRows
            All objects.
        lows, colors : sequence
            Lower bounds and colours of the size classes, from small to large.
        d_star : float, optional
            Marked.
        by_area : bool
            Percent of the area of all objects, rather than of their number.
        """
        from napari_micro_ktnet.measurement.distribution import cumulative, histogram, log_edges

        comparable = bool(np.isfinite(objects.ecd).all())
        self.empty = "no agglomerates" if comparable else "no pooled sizes: some fields have no pixel size"
        counts = (objects.weight > 0) & comparable
        ecd, weight = objects.ecd[counts], objects.weight[counts]
        self.edges = log_edges(ecd)
        found = histogram(ecd, ecd**2, weight, self.edges)
        share = found.area_share if by_area else found.count / max(float(weight.sum()), 1e-300)
        self.bars = 100 * share
        sizes, shares = cumulative(ecd, weight * ecd**2 if by_area else weight)
        self.curve = sizes, 100 * shares
        middles = np.sqrt(self.edges[1:] * self.edges[:-1]) if len(self.edges) else self.edges
        places = np.clip(np.searchsorted(np.array(lows), middles, side="right") - 1, 0, None)
        self._colors = [colors[i] for i in places] if len(colors) else [_BARS] * len(middles)
        self._unit, self._by_area, self._d_star = objects.unit, by_area, d_star
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw axes, bars, curve and d*."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(text)
        area = _area(self)
        if not len(self.bars):
            painter.drawText(QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, self.empty)
            painter.end()
            return
        top = _round_up(float(self.bars.max()))
        _draw_y_axis(painter, area, text, [(0.0, "0"), (1.0, f"{top:g} %")])
        self._draw_titles(painter, area, text)
        self._draw_x_axis(painter, area, text)
        for low, high, value, color in zip(
            self.edges[:-1], self.edges[1:], self.bars, self._colors, strict=True
        ):
            left, right = self._x(low, area), self._x(high, area)
            height = _ROOM * area.height() * value / top
            bar = QRectF(left + 0.5, area.bottom() - height, max(1.0, right - left - 1), height)
            painter.fillRect(bar, QColor(color))
        painter.setPen(QPen(text, 2))
        points = [
            QPointF(self._x(x, area), area.bottom() - _ROOM * area.height() * y / 100)
            for x, y in zip(*_thinned(*self.curve), strict=True)
        ]
        painter.drawPolyline(QPolygonF(points))
        self._draw_d_star(painter, area, text)
        painter.end()

    def _x(self, size: float, area: QRectF) -> float:
        low, high = math.log(self.edges[0]), math.log(self.edges[-1])
        return area.left() + area.width() * (math.log(size) - low) / (high - low)

    def _draw_titles(self, painter: QPainter, area: QRectF, text: QColor) -> None:
        of = "area" if self._by_area else "agglomerates"
        painter.setPen(text)
        painter.drawText(QRectF(2, 2, self.width(), 18), Qt.AlignmentFlag.AlignLeft, f"% of the {of}")
        painter.drawText(QRectF(0, 2, self.width() - 4, 18), Qt.AlignmentFlag.AlignRight, "cumulative, %")
        width = painter.fontMetrics().horizontalAdvance("cumulative, %")
        painter.setPen(QPen(text, 2))
        x = self.width() - width - 12
        painter.drawLine(QPointF(x - 13, 11), QPointF(x, 11))
        painter.setPen(text)
        for percent in (0, 50, 100):
            y = area.bottom() - _ROOM * area.height() * percent / 100
            painter.drawText(QRectF(area.right() + 4, y - 8, _RIGHT, 16), _TO_RIGHT, str(percent))
        below = QRectF(area.left(), area.bottom() + 18, area.width(), 16)
        painter.drawText(below, _CENTRE, f"equivalent diameter (ECD), {self._unit}")

    def _draw_x_axis(self, painter: QPainter, area: QRectF, text: QColor) -> None:
        from napari_micro_ktnet.measurement.distribution import size_edges

        painter.setPen(text)
        last = -math.inf
        for value in size_edges(self.edges):
            if not self.edges[0] * 0.999 <= value <= self.edges[-1] * 1.001:
                continue
            x = self._x(value, area)
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
            width = painter.fontMetrics().horizontalAdvance(f"{value:g}")
            if x - width / 2 > last + 4:
                painter.drawText(QRectF(x - 30, area.bottom() + 3, 60, 15), _CENTRE, f"{value:g}")
                last = x + width / 2

    def _draw_d_star(self, painter: QPainter, area: QRectF, text: QColor) -> None:
        if self._d_star is None or not self.edges[0] < self._d_star < self.edges[-1]:
            return
        x = self._x(self._d_star, area)
        painter.setPen(QPen(text, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.drawText(QPointF(x + 3, area.top() + 10), "d*")


class RipleyPlot(QWidget):
    """``L(r) - r`` with the envelope of random points."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._record: RipleyRecord | None = None

    def show_record(self, record: RipleyRecord | None) -> None:
        """Draw one field; nothing for None."""
        self._record = record
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw envelope and curve."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(text)
        area = _area(self)
        record = self._record
        if record is None:
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "no L(r)")
            painter.end()
            return
        unit = "µm" if record.unit == "um" else "px"
        r = np.array(record.r)
        found, low, high = (np.array(v) - r for v in (record.l, record.low, record.high))
        bottom, top = min(found.min(), low.min()), max(found.max(), high.max())
        across, up = area.width() / r[-1], area.height() / (top - bottom)

        def points(values: NDArray[np.float64]) -> list[QPointF]:
            return [
                QPointF(area.left() + x * across, area.bottom() - (y - bottom) * up)
                for x, y in zip(r, values, strict=True)
            ]

        ticks = [(0.0, f"{bottom:.2g}"), (1.0, f"{top:.2g}")]
        if 0.1 < -bottom / (top - bottom) < 0.9:
            ticks.append((-bottom / (top - bottom), "0"))
        band = QColor(_BAND)
        band.setAlpha(90)
        painter.setBrush(band)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawPolygon(QPolygonF([*points(low), *reversed(points(high))]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        _draw_y_axis(painter, area, text, ticks, room=1.0)
        painter.setPen(QPen(QColor(_BARS), 2))
        painter.drawPolyline(QPolygonF(points(found)))
        painter.setPen(text)
        painter.drawText(QRectF(2, 2, self.width(), 18), Qt.AlignmentFlag.AlignLeft, f"L(r) - r, {unit}")
        below = QRectF(area.left(), area.bottom() + 3, area.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{r[-1]:.3g}")
        painter.drawText(below, _CENTRE, f"distance r, {unit}")
        painter.end()


def describe_ripley(record: RipleyRecord | None) -> str:
    """Say what a curve means."""
    if record is None:
        return "There is no L(r) of this field: it takes at least 8 agglomerates and a rectangular region."
    above = max(found - r for found, r in zip(record.l, record.r, strict=True))
    below = max(r - found for found, r in zip(record.l, record.r, strict=True))
    found = "clusters" if above > below else "even spacing"
    meaning = f"{found} beyond chance" if record.p < 0.05 else "no more than chance"
    return (
        f"Grey: 95 % of {record.simulations} random patterns. Above it agglomerates cluster, below it they "
        f"keep apart. Over all distances: {meaning} (p = {record.p:.3f})."
    )


def _area(plot: QWidget) -> QRectF:
    return QRectF(_LEFT, _TOP, plot.width() - _LEFT - _RIGHT, plot.height() - _TOP - _BOTTOM)


def _draw_y_axis(
    painter: QPainter, area: QRectF, text: QColor, ticks: Sequence[tuple[float, str]], room: float = _ROOM
) -> None:
    line = QColor(text)
    line.setAlpha(70)
    for share, label in ticks:
        y = area.bottom() - room * share * area.height()
        painter.setPen(QPen(line, 1))
        painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setPen(text)
        painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), _TO_LEFT, label)


def _round_up(value: float) -> float:
    decade = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * decade for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * decade >= value)


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], most: int = 500
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give points enough for a curve."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).astype(int))
    return x[kept], y[kept]
