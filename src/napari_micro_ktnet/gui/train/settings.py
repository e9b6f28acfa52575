"""Settings of a training run as fields: the few that everybody needs, and all others."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from napari_micro_ktnet.gui import inputs, settings
from napari_micro_ktnet.gui.parts import caption, combo, form_layout, narrow, row, tool
from napari_micro_ktnet.training.config import STRONG, AugmentConfig, TrainingConfig, preset

PRESETS = ("quick", "thorough", "paper")
STILL = AugmentConfig(horizontal_flip=0, brightness=0, contrast=0, gamma=0, blur=0, sharpen=0)
AUGMENTATIONS = {"none": STILL, "weak (paper)": AugmentConfig(), "strong": STRONG}
_CROP_STEP = 32

HELP = {
    "preset": "Quick: minutes on a processor. Thorough: more and larger steps. Paper: as published (GPU).",
    "length": "How long to train: optimiser steps, or minutes (measured first).",
    "lr_encoder": "Peak learning rate of the encoder.",
    "lr_decoder": "Peak learning rate of the decoder.",
    "freeze_encoder": "Train the decoder only: for very few labels.",
    "freeze_batchnorm": "Keep the statistics of batch normalisation: for very small batches.",
    "crop": "Side of the training crops in pixels, a multiple of 32.",
    "batch_size": "Crops per step. Halved by itself where memory runs out.",
    "augment": "How much crops are varied: flips, zoom, grey values, blur, noise.",
    "bce": "Weight of the cross-entropy loss.",
    "dice": "Weight of the Dice loss.",
    "schedule": "Cosine: warm-up, then down to zero.",
    "patience": "Stop after so many validations without a better one.",
    "validate_every": "Steps between validations; the best model is kept.",
    "seed": "Decides every random draw, and which images validate.",
    "precision": "auto computes in 16 bit where the processor gains from it.",
    "device": "Which processor trains; auto takes the best there is.",
}


class SettingsForm(QWidget):
    """Preset and length, and a part with everything else that is unfolded on demand."""

    changed = Signal()
    preview_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.preset = combo(*PRESETS)
        self.length = _spin(1, 1_000_000)
        self.length.setGroupSeparatorShown(True)
        self.unit = narrow(combo("steps", "minutes"), 110)
        self.more = QWidget()
        self._make_fields()
        form = form_layout(self)
        form.addRow(caption("Preset"), self.preset)
        form.addRow(caption("Length"), row(self.length, self.unit))
        self._lay_out_more()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)
        self.take_preset()
        self._connect()

    @property
    def minutes(self) -> float | None:
        """How long to train; None where steps are counted."""
        return float(self.length.value()) if self.unit.currentText() == "minutes" else None

    @property
    def augmentation(self) -> AugmentConfig:
        """The chosen variation of crops."""
        return AUGMENTATIONS[self.augment.currentText()]

    def take_preset(self) -> None:
        """Show the settings of the chosen preset."""
        config = preset(self.preset.currentText())
        self.blockSignals(True)
        if self.minutes is None:
            self.length.setValue(config.steps)
        for name in ("lr_encoder", "lr_decoder"):
            getattr(self, name).setText(f"{getattr(config, name):g}")
        for name in ("crop", "batch_size", "bce", "dice", "patience", "validate_every", "seed"):
            getattr(self, name).setValue(getattr(config, name))
        for name in ("freeze_encoder", "freeze_batchnorm"):
            getattr(self, name).setChecked(getattr(config, name))
        for name in ("schedule", "precision"):
            getattr(self, name).setCurrentText(getattr(config, name))
        self.augment.setCurrentText(next(k for k, v in AUGMENTATIONS.items() if v == config.augment))
        self.blockSignals(False)
        self.changed.emit()

    def problem(self) -> str:
        """Mark bad fields and say the first problem; empty if there is none."""
        problems = {name: _check_rate(getattr(self, name).text()) for name in ("lr_encoder", "lr_decoder")}
        wrong = self.crop.value() % _CROP_STEP
        problems["crop"] = f"Crop {self.crop.value()} is no multiple of {_CROP_STEP}." if wrong else ""
        none = self.bce.value() + self.dice.value() == 0
        problems["bce"] = problems["dice"] = "Give one of the two losses a weight above 0." if none else ""
        for name, text in problems.items():
            inputs.mark(getattr(self, name), text, HELP[name])
        return next((text for text in problems.values() if text), "")

    def config(self, **others: Any) -> TrainingConfig:
        """Put together all settings; `others` are fields of `TrainingConfig` that have no field here.

        Raises
        ------
        InputError
            A value is out of range; `problem` would have said so.
        """
        values: dict[str, Any] = {
            name: getattr(self, name).value()
            for name in ("crop", "batch_size", "bce", "dice", "patience", "validate_every", "seed")
        }
        values |= {name: float(getattr(self, name).text()) for name in ("lr_encoder", "lr_decoder")}
        values |= {name: getattr(self, name).isChecked() for name in ("freeze_encoder", "freeze_batchnorm")}
        values |= {name: getattr(self, name).currentText() for name in ("schedule", "precision", "device")}
        if self.minutes is None:
            values["steps"] = self.length.value()
        return preset(self.preset.currentText(), augment=self.augmentation, **values, **others)

    def _make_fields(self) -> None:
        self.lr_encoder, self.lr_decoder = QLineEdit(), QLineEdit()
        self.freeze_encoder = QCheckBox("Freeze the encoder")
        self.freeze_batchnorm = QCheckBox("Freeze batch normalisation")
        self.crop = _spin(32, 2048)
        self.crop.setSingleStep(_CROP_STEP)
        self.batch_size = _spin(1, 512)
        self.augment = combo(*AUGMENTATIONS)
        self.show_augment = tool("Preview", "Show eight crops as training would see them", width=80)
        self.bce, self.dice = _share(), _share()
        self.schedule = combo("cosine", "constant")
        self.patience = _spin(0, 1000)
        self.patience.setSpecialValueText("never")
        self.patience.setSuffix(" validations")
        self.validate_every = _spin(1, 100_000)
        self.validate_every.setSuffix(" steps")
        self.seed = _spin(0, 2**31 - 1)
        self.precision = combo("auto", "float32", "bfloat16")
        self.device = combo(*settings.devices())
        self.device.setCurrentText(settings.preferred_device())

    def _lay_out_more(self) -> None:
        form = form_layout(self.more)
        form.addRow(caption("Rate, encoder"), self.lr_encoder)
        form.addRow(caption("Rate, decoder"), self.lr_decoder)
        form.addRow(caption("Schedule"), self.schedule)
        form.addRow(self.freeze_encoder)
        form.addRow(self.freeze_batchnorm)
        form.addRow(caption("Crop"), self.crop)
        form.addRow(caption("Batch"), self.batch_size)
        form.addRow(caption("Augmentation"), row(self.augment, self.show_augment))
        form.addRow(caption("Cross-entropy"), self.bce)
        form.addRow(caption("Dice"), self.dice)
        form.addRow(caption("Validate every"), self.validate_every)
        form.addRow(caption("Give up after"), self.patience)
        form.addRow(caption("Seed"), self.seed)
        form.addRow(caption("Precision"), self.precision)
        form.addRow(caption("Device"), self.device)

    def _connect(self) -> None:
        self.preset.currentIndexChanged.connect(self.take_preset)
        self.show_augment.clicked.connect(self.preview_asked.emit)
        self.unit.currentIndexChanged.connect(self._unit_changed)
        for field in (self.length, self.crop, self.batch_size, self.bce, self.dice):
            field.valueChanged.connect(self.changed.emit)
        for line in (self.lr_encoder, self.lr_decoder):
            line.textChanged.connect(self.changed.emit)

    def _unit_changed(self) -> None:
        minutes = self.minutes is not None
        self.length.setValue(20 if minutes else preset(self.preset.currentText()).steps)
        self.changed.emit()


def _check_rate(text: str) -> str:
    try:
        good = 0 < float(text) < 1
    except ValueError:
        good = False
    return "" if good else f"A learning rate must be a number between 0 and 1, such as 4e-4; found {text!r}."


def _spin(low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    return box


def _share() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, 10)
    box.setSingleStep(0.1)
    box.setDecimals(2)
    return box
