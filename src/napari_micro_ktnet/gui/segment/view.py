"""The form of the Segment widget: fields and their looks, no behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Shapes
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui import settings
from napari_micro_ktnet.gui.inputs import LayerCombo
from napari_micro_ktnet.gui.parts import combo, folding, form_layout, note, row, tool
from napari_micro_ktnet.gui.segment.run import Request
from napari_micro_ktnet.model.spec import ORIENTATION_COUNTS
from napari_micro_ktnet.predict.tiles import OVERLAP

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NARROW = 95

HELP = {
    "image": "The image layer to segment. It is never changed.",
    "model": "Which model looks for agglomerates.",
    "field": "The whole image without its data bar, or only what the canvas shows now.",
    "region": "A Shapes layer whose rectangles, ellipses and polygons limit where to look.",
    "rescale": "Bring the image to the pixel size that the model was trained at, and the result back.",
    "threshold": "From this probability on a pixel is labelled. Moves the last result at once.",
    "probability": "Show the probability that the labels come from as an image layer.",
    "device": "Which processor runs the network; auto takes the best there is.",
    "tile": "Side of square tiles in pixels. Automatic chooses large tiles that waste little.",
    "overlap": "Least share of a tile that neighbours have in common.",
    "precision": "auto computes in 16 bit where the processor gains from it.",
    "orientations": "Mean over so many mirrored and turned copies: a little better, as many times slower.",
}


class ThresholdField(QWidget):
    """A slider and a number from 0 to 1 that follow each other."""

    changed = Signal(float)

    def __init__(self, value: float = 0.5) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.number = QDoubleSpinBox()
        self.number.setRange(0, 1)
        self.number.setSingleStep(0.01)
        self.number.setDecimals(2)
        self.number.setFixedWidth(_NARROW)
        line = row(self.slider, self.number)
        self.setLayout(line)
        self.set_value(value)
        self.slider.valueChanged.connect(lambda percent: self.number.setValue(percent / 100))
        self.number.valueChanged.connect(self._number_changed)

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return round(self.number.value(), 2)

    def set_value(self, value: float) -> None:
        """Set both."""
        self.number.setValue(value)
        self.slider.setValue(round(value * 100))

    def _number_changed(self, value: float) -> None:
        self.slider.setValue(round(value * 100))
        self.changed.emit(round(value, 2))


class SegmentForm(QWidget):
    """All fields of the widget."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.image = LayerCombo(viewer, Image)
        self.model = combo()
        self.browse = tool("…", "Use a model file (.safetensors)")
        self.refresh = tool("⟳", "Read the models folder again")
        self.about = note()
        self.field = combo("Whole image", "Current field of view")
        self.region = LayerCombo(viewer, Shapes, none="all")
        self.region_mode = combo("inside", "outside")
        self.region_mode.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.region_mode.setFixedWidth(_NARROW)
        self.pixel_size_note = note()
        self.rescale = QCheckBox("Rescale to the model's pixel size")
        self.threshold = ThresholdField()
        self.probability = QCheckBox("Show probability")
        self.device = combo(*settings.devices())
        self.device.setCurrentText(settings.preferred_device())
        self.advanced_part = QWidget()
        self.advanced = folding("Advanced", self.advanced_part)
        self.run = QPushButton("Run")
        self.progress = QProgressBar()
        self.message = note()
        self._advanced_fields()
        self._lay_out()
        for box in (self.image, self.region):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)

    @property
    def view_only(self) -> bool:
        """Whether only the current field of view is asked for."""
        return self.field.currentIndex() == 1

    @property
    def rescaled(self) -> bool:
        """Whether rescaling is offered and asked for."""
        return self.rescale.isVisibleTo(self) and self.rescale.isChecked()

    def request(self, image: Image) -> Request:
        """Put together what the fields say about an image layer."""
        sem = convert.sem_image_of(image)
        shapes = self.region.layer
        return Request(
            pixels=convert.full_data(image),
            rgb=bool(image.rgb),
            name=image.name,
            pixel_size=convert.pixel_size_nm(image),
            data_bar=sem.data_bar if sem else None,
            search_bar=sem is None,
            box=convert.view_box(image) if self.view_only else (slice(None), slice(None)),
            polygons=convert.outlines(shapes, image) if shapes is not None else (),
            exclude=self.region_mode.currentIndex() == 1,
            model=self.model.currentData(),
            match_pixel_size=self.rescaled,
            options={
                "tile": self.tile.value() or None,
                "overlap": self.overlap.value(),
                "device": self.device.currentText(),
                "precision": self.precision.currentText(),
                "orientations": self.orientations.currentData(),
            },
        )

    def _advanced_fields(self) -> None:
        self.tile = QSpinBox()
        self.tile.setRange(0, 8192)
        self.tile.setSingleStep(128)
        self.tile.setSpecialValueText("automatic")
        self.overlap = QDoubleSpinBox()
        self.overlap.setRange(0, 0.85)
        self.overlap.setSingleStep(0.05)
        self.overlap.setDecimals(4)
        self.overlap.setValue(OVERLAP)
        self.precision = combo("auto", "float32", "bfloat16")
        self.orientations = combo()
        self.orientations.addItem("the model's own", None)
        for count in ORIENTATION_COUNTS:
            self.orientations.addItem(str(count), count)
        form = form_layout(self.advanced_part)
        form.addRow("Tile", self.tile)
        form.addRow("Overlap", self.overlap)
        form.addRow("Precision", self.precision)
        form.addRow("Orientations", self.orientations)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        fields = QWidget()
        form = form_layout(fields)
        form.addRow("Image", self.image)
        form.addRow("Model", row(self.model, self.browse, self.refresh))
        form.addRow(self.about)
        form.addRow("Field", self.field)
        form.addRow("Region", row(self.region, self.region_mode))
        form.addRow(self.pixel_size_note)
        form.addRow(self.rescale)
        form.addRow("Device", self.device)
        form.addRow("Threshold", self.threshold)
        form.addRow(self.probability)
        self.pixel_size_note.hide()
        self.rescale.hide()
        self.region_mode.setEnabled(False)
        self.progress.hide()
        for part in (fields, self.advanced, self.advanced_part, self.run, self.progress, self.message):
            column.addWidget(part)
        column.addStretch(1)
