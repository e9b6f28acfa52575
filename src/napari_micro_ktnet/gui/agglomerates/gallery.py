"""The largest agglomerates as small pictures; a click goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QWidget

from napari_micro_ktnet.gui.tables import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.agglomerates.rows import ObjectRows
    from napari_micro_ktnet.gui.agglomerates.run import Measured

MOST = 10
_COLUMNS = 3
_SIDE = 92
_LEAST_SIDE = 24
_AROUND = 1.6
_OUTLINE = (255, 212, 0)
_MATRIX, _OBJECT = 60, 170


class Gallery(QWidget):
    """Thumbnails of the ten largest objects, the largest first."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = [self._button(row) for row in range(MOST)]
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setSpacing(4)
        for index, button in enumerate(self.buttons):
            grid.addWidget(button, *divmod(index, _COLUMNS))
        grid.setRowStretch(grid.rowCount(), 1)
        grid.setColumnStretch(_COLUMNS, 1)

    def show_objects(self, measured: Measured, objects: ObjectRows) -> None:
        """Show the largest objects of a measurement."""
        many = len(measured.fields) > 1
        # Pixels of one magnification are not compared with micrometres.
        known = int(np.isfinite(objects.ecd).sum())
        for row, button in enumerate(self.buttons):
            button.setVisible(row < known)
            if row >= known:
                continue
            index = int(objects.field[row])
            size = f"{plain(float(objects.ecd[row]), 3)} {objects.unit}"
            picture = thumbnail(
                measured.fields[index].grey,
                measured.objects[index],
                int(objects.number[row]),
                objects.boxes[row],
            )
            button.setIcon(QIcon(_pixmap(picture)))
            button.setText(size)
            name = measured.fields[index].name
            where = f"{name}, no. {objects.number[row]}" if many else f"no. {objects.number[row]}"
            button.setToolTip(f"{size}, {where}. Click to go there.")

    def _button(self, row: int) -> QToolButton:
        button = QToolButton()
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(QSize(_SIDE, _SIDE))
        button.setAutoRaise(True)
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.chosen.emit(row))
        return button


def thumbnail(
    grey: NDArray[np.generic] | None,
    objects: NDArray[np.int32],
    number: int,
    box: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Cut a square around an object and draw its outline.

    Parameters
    ----------
    grey : ndarray, (Y, X), or None
        The image; without it objects are drawn on a plain ground.
    objects : ndarray of int, (Y, X)
        Numbered objects.
    number : int
        Which one.
    box : ndarray of float, (4,)
        Its top, left, bottom, right.

    Returns
    -------
    ndarray of uint8, (S, S, 3)
        Moved inside where it would stick out of the image; black where the image is smaller.
    """
    top, left, bottom, right = (int(v) for v in box)
    side = max(_LEAST_SIDE, round(_AROUND * max(bottom - top, right - left)))
    middle = np.array([(top + bottom - side) // 2, (left + right - side) // 2])
    low = np.clip(np.minimum(middle, np.array(objects.shape) - side), 0, None)
    high = np.minimum(low + side, objects.shape)
    here = (slice(low[0], high[0]), slice(low[1], high[1]))
    inside = objects[here] == number
    tones = _tones(grey[here]) if grey is not None else np.where(objects[here] > 0, _OBJECT, _MATRIX)
    rgb = np.repeat(tones[..., None].astype(np.uint8), 3, axis=2)
    rgb[_edge(inside, max(1, side // _SIDE))] = _OUTLINE
    square = np.zeros((side, side, 3), np.uint8)
    square[: rgb.shape[0], : rgb.shape[1]] = rgb
    return square


def _tones(grey: NDArray[np.generic]) -> NDArray[np.float64]:
    values = np.nan_to_num(np.asarray(grey, float))
    low, high = np.percentile(values, (0.5, 99.5))
    tones: NDArray[np.float64] = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    return tones


def _edge(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels just outside of an object, so that the object itself is seen as it is."""
    grown = np.pad(inside, width)
    for _ in range(width):
        padded = np.pad(grown, 1)
        grown = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:] | grown
    found: NDArray[np.bool_] = grown[width:-width, width:-width] & ~inside
    return found


def _pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    smooth = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image).scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, smooth)
