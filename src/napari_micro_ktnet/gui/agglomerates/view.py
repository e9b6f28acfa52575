"""The form of the Agglomerates widget: fields and their looks, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui.agglomerates.fields import FieldTable
from napari_micro_ktnet.gui.agglomerates.limits import LimitsField
from napari_micro_ktnet.gui.agglomerates.results import ResultsPart
from napari_micro_ktnet.gui.agglomerates.run import Border, Options
from napari_micro_ktnet.gui.parts import caption, combo, folding, form_layout, narrow, note, row

if TYPE_CHECKING:
    from typing import Literal

    from napari.components import ViewerModel

_UNIT_WIDTH = 70
_BORDERS: tuple[Border, ...] = ("keep", "exclude", "weight")

HELP = {
    "pixel_size": "nm, where no layer says it. Better set it in SEM info, so that all layers know it.",
    "sem_info": "Open SEM info: type the pixel size of the image, or measure its scale bar.",
    "split": "Cut objects at necks (watershed on the distance to the edge). Look at the preview first.",
    "split_depth": "How much narrower a neck must be than the smaller part, px of radius. Less cuts more.",
    "preview": "Show what would be cut, before anything is measured.",
    "stop": "Give the preview up; all is as before.",
    "min_size": "Objects of a smaller diameter are left out. 0 keeps all.",
    "min_unit": "Pixels, or micrometres where the pixel size is known.",
    "fill_holes": "Holes count as part of the object around them.",
    "border": (
        "What objects that touch the edge mean for sizes and numbers: count them as they are; leave them "
        "out; or leave them out and let large ones count more, since they touch the edge more often. The "
        "area fraction always holds them."
    ),
    "d_star": "What is larger makes up the agglomerate degree. A limits file has its own.",
    "ripley": "Also L(r) with an envelope of random points; takes about a second more for every field.",
}


class AgglomeratesForm(QWidget):
    """All fields of the measuring tab."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.fields = FieldTable(viewer)
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("not known: px")
        self.sem_info = QPushButton("SEM info…")
        self.split = QCheckBox("separate")
        self.split_depth = _number(1.0, 0.5, 1000, " px")
        self.preview = QCheckBox("preview of the cuts")
        self.preview.setChecked(True)
        self.preview_note = note()
        self.stop = QPushButton("Cancel preview")
        self.min_size = _number(0.0, 0.5, 1e6)
        self.min_size.setSpecialValueText("none")
        self.min_unit = narrow(combo("px", "µm"), _UNIT_WIDTH)
        self.fill_holes = QCheckBox("Fill holes")
        self.border = combo("count as they are", "leave out", "leave out and correct")
        self.d_star = _number(5.0, 1.0, 1e6, " µm")
        self.d_star.setMinimum(0.01)
        self.ripley = QCheckBox("L(r)")
        self.limits = LimitsField()
        self.more_part = QWidget()
        self.more = folding("More settings", self.more_part)
        self.measure = QPushButton("Measure")
        self.progress = QProgressBar()
        self.message, self.warnings = note(), note()
        self.results = ResultsPart()
        self._lay_out()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    @property
    def options(self) -> Options:
        """How to measure."""
        unit: Literal["px", "um"] = "um" if self.min_unit.currentIndex() == 1 else "px"
        return Options(
            split=round(self.split_depth.value(), 3) if self.split.isChecked() else None,
            min_size=round(self.min_size.value(), 3),
            min_size_unit=unit,
            fill_holes=self.fill_holes.isChecked(),
            border=_BORDERS[self.border.currentIndex()],
            d_star_um=round(self.d_star.value(), 3),
            ripley=self.ripley.isChecked(),
        )

    def show_split(self, *, split: bool) -> None:
        """Offer depth and preview only where objects are separated."""
        self.split_depth.setEnabled(split)
        self.preview.setVisible(split)
        if not split:
            self.preview_note.hide()

    def _lay_out(self) -> None:
        top, middle, self.size_part = QWidget(), QWidget(), QWidget()
        column = QVBoxLayout(top)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fields)
        form_layout(self.size_part).addRow(caption("Pixel size, nm"), row(self.pixel_size, self.sem_info))
        column.addWidget(self.size_part)
        form = form_layout(middle)
        form.addRow(caption("Touching ones"), row(self.split_depth, self.split))
        form.addRow(self.preview)
        form.addRow(self.preview_note)
        form.addRow(self.stop)
        form.addRow(caption("Minimum size"), row(self.min_size, self.min_unit))
        form.addRow(caption("Limits"), self.limits)
        more = form_layout(self.more_part)
        more.addRow(caption("At the edge"), self.border)
        more.addRow(caption("Size d*"), self.d_star)
        more.addRow(caption("Holes"), self.fill_holes)
        more.addRow(caption("Also give"), self.ripley)
        self.progress.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        parts: list[QWidget] = [top, middle, self.more, self.more_part]
        parts += [self.measure, self.progress, self.message, self.warnings, self.results]
        for part in parts:
            # Tables take the height that is left; without them nothing does.
            column.addWidget(part, int(part is self.results))
        column.addStretch(0)
        for part in parts[:-3]:
            part.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        for each in (self.stop, self.preview_note, self.preview, self.progress, self.results, self.warnings):
            each.hide()
        self.split_depth.setEnabled(False)


def _number(value: float, step: float, most: float, suffix: str = "") -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, most)
    box.setDecimals(2)
    box.setSingleStep(step)
    box.setValue(value)
    box.setSuffix(suffix)
    return box
