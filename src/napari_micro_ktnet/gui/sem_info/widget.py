"""The SEM info widget: acquisition data of an image layer, and its pixel size to check and to set."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.links import ViewerLinks
from napari_micro_ktnet.gui.scale_line import ScaleLine
from napari_micro_ktnet.gui.sem_info import text as say
from napari_micro_ktnet.gui.sem_info.view import HELP, SemInfoForm
from napari_micro_ktnet.sem.describe import lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Layer
    from napari.viewer import Viewer

Size = tuple[float, float]

_NARROWEST = 310
_SHORTEST_LINE = 2.0


class SemInfoWidget(QWidget):
    """Show what is known about a SEM image and let its pixel size be set.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer whose Image layers are described.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # A plugin gets a proxy, through which the same layer is never the same object twice.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = SemInfoForm(self.viewer)
        self.line: ScaleLine | None = None
        self._filled: tuple[Image | None, Size | None] = (None, None)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)
        self.setMinimumWidth(_NARROWEST)
        self._connect_form()
        self._links = ViewerLinks(
            self.viewer,
            self._layer_inserted,
            self._layer_removed,
            self._changed,
            activated=self._follow,
        )
        self.destroyed.connect(self._links.cut)
        self._follow(self.viewer.layers.selection.active)
        self.show_layer()

    @property
    def layer(self) -> Image | None:
        """The layer that is shown."""
        layer: Image | None = self.form.image.layer
        return layer

    def show_layer(self) -> None:
        """Read the layer again."""
        form, layer = self.form, self.layer
        form.statement.setText(say.pixel_size_statement(layer))
        warning = say.pixel_size_warning(layer)
        form.warning.setText(warning)
        form.warning.setVisible(bool(warning))
        for part in (form.size_part, form.table, form.copy_text, form.copy_json):
            part.setVisible(layer is not None)
        if layer is not None:
            description = sizes.describe_layer(layer)
            file = [("file", Path(description["file"]).name)] if description["file"] else []
            form.table.set_rows([*lines(description), *file])
            form.table.fit_height()
            form.table.set_tip(len(lines(description)), description["file"] or "")
        self._show_raw()
        self._fill_size()
        self.update_checks()

    def update_checks(self) -> None:
        """Say what is wrong with what was typed, and let Apply be pressed only where nothing is."""
        form, layer = self.form, self.layer
        if layer is None:
            return
        form.size_y.setVisible(not form.square.isChecked())
        form.times.setVisible(not form.square.isChecked())
        size, problem = self._wanted()
        if self.line is not None:
            form.measured.setText(say.measured_text(self.line.pixels, size[1] if size else None))
            form.size_x.setText(_text(size[1], form.unit.currentText()) if size else "")
        form.show_problem(problem, measuring=self.line is not None)
        others = self._companions()
        text, names = say.companions_text(others)
        form.others.setVisible(bool(others))
        form.others.setText(text)
        form.others.setToolTip(names)
        known = sizes.source_of(layer) in ("metadata", "user")
        new = size is not None and not (known and sizes.same_size(size, convert.pixel_size_nm(layer)))
        form.apply.setEnabled(new)
        form.apply.setToolTip(problem or (HELP["apply"] if new or size is None else "This is its size now."))
        form.reset.setEnabled(sizes.opened(layer) is not None)

    def apply_size(self) -> None:
        """Set the pixel size that was typed or measured."""
        layer, (size, _) = self.layer, self._wanted()
        if layer is None or size is None or not self.form.apply.isEnabled():
            return
        self.stop_measuring()
        self._rescale(partial(sizes.set_pixel_size, size=size), layer)

    def reset_size(self) -> None:
        """Go back to what the file says."""
        layer = self.layer
        if layer is not None and sizes.opened(layer) is not None:
            self.stop_measuring()
            self._rescale(sizes.reset_pixel_size, layer)

    def measure_or_cancel(self) -> None:
        """Offer a line to draw over the scale bar, or take it away again."""
        if self.line is not None:
            self.stop_measuring()
            return
        if self.layer is None:
            return
        self.form.square.setChecked(True)
        # The bar of another image says something else.
        self.form.length.clear()
        self.line = ScaleLine(self.viewer, self.layer, self.update_checks)
        # The widget may be deleted before the line is; `self` must not be touched then.
        self.destroyed.connect(self.line.remove)
        self.form.show_measuring(True)
        self.update_checks()

    def stop_measuring(self, *, at_once: bool = True) -> None:
        """Take the line away, if there is one."""
        line, self.line = self.line, None
        if line is None:
            return
        self.destroyed.disconnect(line.remove)
        if at_once:
            line.remove()
        else:
            # Qt alone would not keep the line alive until then.
            QTimer.singleShot(0, partial(ScaleLine.remove, line))
        self.form.show_measuring(False)
        self._filled = (None, None)
        self._fill_size()
        self.update_checks()

    def _connect_form(self) -> None:
        form = self.form
        form.image.currentIndexChanged.connect(self._chosen)
        for edited in (form.size_x.textEdited, form.size_y.textEdited, form.length.textChanged):
            edited.connect(self.update_checks)
        for field in (form.size_x, form.size_y, form.length):
            field.returnPressed.connect(self.apply_size)
        for combo in (form.unit, form.length_unit):
            combo.currentIndexChanged.connect(self.update_checks)
        form.square.toggled.connect(self._square_toggled)
        form.measure.clicked.connect(self.measure_or_cancel)
        form.apply.clicked.connect(self.apply_size)
        form.reset.clicked.connect(self.reset_size)
        form.copy_text.clicked.connect(self._copy_text)
        form.copy_json.clicked.connect(self._copy_json)
        form.raw.toggled.connect(self._show_raw)
        form.filter.textChanged.connect(form.raw_table.set_filter)
        form.copy_raw.clicked.connect(self._copy_raw)

    def _wanted(self) -> tuple[Size | None, str]:
        """Pixel size that was typed or measured, and what is wrong with it; neither if nothing was."""
        try:
            return self._measured_size() if self.line is not None else self._typed_size(), ""
        except InputError as error:
            return None, str(error)

    def _typed_size(self) -> Size | None:
        form = self.form
        fields = (form.size_x, form.size_x) if form.square.isChecked() else (form.size_y, form.size_x)
        if not all(field.text().strip() for field in fields):
            return None
        y, x = (
            sizes.check_pixel_size(sizes.read_length(field.text(), form.unit.currentText()))
            for field in fields
        )
        return y, x

    def _measured_size(self) -> Size | None:
        pixels = self.line.pixels if self.line is not None else None
        if pixels is None:
            return None
        if pixels < _SHORTEST_LINE:
            raise InputError("The line is too short: draw it over the whole length of the scale bar.")
        if not self.form.length.text().strip():
            return None
        length = sizes.read_length(self.form.length.text(), self.form.length_unit.currentText())
        each = sizes.check_pixel_size(length / pixels)
        return each, each

    def _companions(self) -> list[Layer]:
        if self.layer is None:
            return []
        line = self.line.layer if self.line is not None else None
        return [x for x in sizes.companions(self.viewer.layers, self.layer) if x is not line]

    def _rescale(self, change: Callable[[list[Layer]], None], image: Image) -> None:
        others = self._companions() if self.form.others.isChecked() else []
        with sizes.keeping_view(self.viewer, image):
            change([image, *others])
        self.show_layer()

    def _fill_size(self) -> None:
        """Put the layer's pixel size into the fields, unless the user may be typing another one."""
        layer = self.layer
        size = convert.pixel_size_nm(layer) if layer is not None else None
        if self.line is not None or (layer is self._filled[0] and sizes.same_size(size, self._filled[1])):
            return
        self._filled = (layer, size)
        form = self.form
        unit = "um" if size is not None and max(size) >= sizes.NM["um"] else "nm"
        form.unit.setCurrentText(unit)
        form.square.setChecked(size is None or sizes.same_size(size, (size[1], size[1])))
        for field, value in zip((form.size_y, form.size_x), size or (None, None), strict=True):
            field.setText("" if value is None else _text(value, unit))

    def _square_toggled(self, square: bool) -> None:
        if not square and not self.form.size_y.text():
            self.form.size_y.setText(self.form.size_x.text())
        self.update_checks()

    def _show_raw(self) -> None:
        sem = sizes.sem_of(self.layer) if self.layer is not None else None
        keys = sem.metadata.raw if sem is not None else {}
        self.form.raw.setText(f"All vendor keys ({len(keys)})")
        self.form.raw.setVisible(bool(keys))
        self.form.raw_part.setVisible(bool(keys) and self.form.raw.isChecked())
        # Hundreds of rows are made only for someone who wants to see them.
        self.form.raw_table.set_rows(keys.items() if self.form.raw.isChecked() else ())

    def _copy_text(self) -> None:
        if self.layer is not None:
            statement = say.pixel_size_statement(self.layer)
            _to_clipboard(say.as_text(sizes.describe_layer(self.layer), statement))

    def _copy_json(self) -> None:
        if self.layer is not None:
            _to_clipboard(json.dumps(sizes.describe_layer(self.layer), indent=2))

    def _copy_raw(self) -> None:
        _to_clipboard("\n".join("\t".join(row) for row in self.form.raw_table.rows()))

    def _chosen(self) -> None:
        if self.line is not None and self.line.image is not self.layer:
            self.line.select_after = (self.layer,) if self.layer is not None else ()
            self.stop_measuring(at_once=False)
        self.show_layer()

    def _follow(self, layer: Any) -> None:
        if isinstance(layer, Image):
            self.form.image.choose(layer)

    def _layer_inserted(self, layer: Any) -> None:
        self.form.image.refill()
        # napari selects a new layer before others hear of it.
        self._follow(self.viewer.layers.selection.active)
        self.update_checks()

    def _layer_removed(self, layer: Any) -> None:
        if self.line is not None and layer in (self.line.layer, self.line.image):
            # Others may be about to be removed with it: not from within this removal.
            self.stop_measuring(at_once=False)
        self.form.image.refill()
        self.update_checks()

    def _changed(self) -> None:
        if self.line is not None:
            self.line.follow()
        self.form.image.refill()
        self.show_layer()


def _text(nm: float, unit: str) -> str:
    return f"{nm / sizes.NM[unit]:.6g}"


def _to_clipboard(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
