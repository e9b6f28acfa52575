"""Where a training run starts from: the choice of starting weights, and the MicroNet files they need."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs, settings
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job
from napari_micro_ktnet.gui.parts import caption, combo, form_layout, note, row, say, tool
from napari_micro_ktnet.model.encoders import LITE0
from napari_micro_ktnet.model.fetch import iter_fetch, micronet_path
from napari_micro_ktnet.model.micronet import find_micronet, list_micronet
from napari_micro_ktnet.model.registry import STARTER, list_models, model_info
from napari_micro_ktnet.triton_guard import keep_triton_out

if TYPE_CHECKING:
    from napari_micro_ktnet.model.download import FetchReport

_STARTS = {
    "Starter model": STARTER,
    "ImageNet": "imagenet",
    "ImageNet → MicroNet": "imagenet-micronet",
    "MicroNet": "micronet",
    "Random weights": "random",
}
_MICRONET = ("micronet", "imagenet-micronet")
_OF_THE_PAPER = "se_resnext50_32x4d"

HELP = {
    "start": "Which weights to begin with. Few images need a start that knows micrographs.",
    "encoder": "The part of the network that starts from the weights above.",
}


class StartForm(QWidget):
    """The choice of starting weights and encoder; fetches and imports MicroNet files."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.start, self.encoder = combo(), combo()
        self.browse = tool("…", "Start from a model file or encoder weights")
        self.about = note()
        self.fetch = QPushButton("Fetch")
        self.import_file = QPushButton("Import file…")
        self.bar = QProgressBar()
        self._job: Job[Any, Any] | None = None
        form = form_layout(self)
        form.addRow(caption("Start"), row(self.start, self.browse))
        form.addRow(caption("Encoder"), self.encoder)
        box = QVBoxLayout()
        self.buttons = QWidget()
        self.buttons.setLayout(row(self.fetch, self.import_file))
        for part in (self.about, self.buttons, self.bar):
            box.addWidget(part)
        form.addRow(box)
        self.bar.hide()
        for name, text in HELP.items():
            getattr(self, name).setToolTip(text)
        self.refresh()
        self.start.currentIndexChanged.connect(self._start_changed)
        self.encoder.currentIndexChanged.connect(self._encoder_changed)
        self.browse.clicked.connect(self._browse)
        self.fetch.clicked.connect(self.fetch_or_cancel)
        self.import_file.clicked.connect(self._import)
        self.destroyed.connect(self._abandon)

    @property
    def init(self) -> str:
        """For `TrainingConfig.init`."""
        return str(self.start.currentData())

    def fields(self) -> dict[str, Any]:
        """Fields of `TrainingConfig` that the start decides."""
        spec = self._model_spec()
        if spec is not None:
            names = ("architecture", "encoder", "upsampling", "scse")
            return {"init": self.init, **{name: getattr(spec, name) for name in names}}
        return {"init": self.init, "encoder": self.encoder.currentText()}

    def problem(self) -> str:
        """Mark bad fields and say the first problem; empty if there is none."""
        text = self._problem()
        inputs.mark(self.start, text, HELP["start"])
        return text

    def refresh(self) -> None:
        """Read the list of models again, and keep the choice where it still exists."""
        chosen = self.start.currentData()
        files = [
            (self.start.itemText(i), self.start.itemData(i))
            for i in range(self.start.count())
            if Path(self.start.itemData(i)).suffix
        ]
        names = [info.name for info in list_models()]
        known = {t: v for t, v in _STARTS.items() if v != STARTER or STARTER in names}
        own = {f"Model {name}": name for name in names if name != STARTER}
        self.start.blockSignals(True)
        self.start.clear()
        for text, value in [*known.items(), *own.items(), *files]:
            self.start.addItem(text, value)
        self.start.setCurrentIndex(max(0, self.start.findData(chosen)))
        self.start.blockSignals(False)
        self._start_changed()

    def add_file(self, path: str) -> None:
        """Choose a file to start from."""
        if self.start.findData(path) < 0:
            self.start.addItem(Path(path).name, path)
        self.start.setCurrentIndex(self.start.findData(path))

    def fetch_or_cancel(self) -> None:
        """Fetch the MicroNet weights, or stop doing so; a later fetch goes on from there."""
        if self._job is not None:
            self._job.cancel()
            return
        encoder, variant = self.encoder.currentText(), self.init
        self._begin(lambda: iter_fetch(encoder, variant))
        self.fetch.setText("Cancel")

    def import_weights(self, path: str) -> None:
        """Take a MicroNet file that was downloaded elsewhere."""
        encoder, variant = self.encoder.currentText(), self.init
        self._begin(lambda: _import_steps(path, encoder, variant))

    def _problem(self) -> str:
        if self.start.count() == 0:
            return "There is nothing to start from."
        if self._job is not None:
            return "Wait until the weights are there."
        if self.init in _MICRONET and not self._micronet_file().is_file():
            return "The MicroNet weights are not on this computer yet: press Fetch or Import file."
        if self._is_model():
            try:
                model_info(self.init)
            except MicroKTNetError as error:
                # A file may also hold the weights of an encoder alone.
                return "" if Path(self.init).is_file() else str(error)
        return ""

    def _is_model(self) -> bool:
        return self.init not in _STARTS.values() or self.init == STARTER

    def _model_spec(self) -> Any:
        try:
            return model_info(self.init).spec if self._is_model() else None
        except MicroKTNetError:
            return None

    def _micronet_file(self) -> Path:
        # It may have been changed in the preferences since.
        settings.apply_cache_folder()
        return micronet_path(find_micronet(self.encoder.currentText(), self.init))

    def _start_changed(self) -> None:
        spec, chosen = self._model_spec(), self.encoder.currentText()
        if spec is not None:
            names = [spec.encoder]
        elif self.init == "imagenet":
            names = [LITE0]
        elif self.init in _MICRONET:
            names = [e.encoder for e in list_micronet() if e.variant == self.init]
        else:
            names = [LITE0, *dict.fromkeys(e.encoder for e in list_micronet())]
        self.encoder.blockSignals(True)
        self.encoder.clear()
        self.encoder.addItems(names)
        wanted = chosen if chosen in names else _OF_THE_PAPER if _OF_THE_PAPER in names else names[0]
        self.encoder.setCurrentText(LITE0 if self.init == "random" and chosen not in names else wanted)
        self.encoder.setEnabled(len(names) > 1)
        self.encoder.blockSignals(False)
        self._encoder_changed()

    def _encoder_changed(self) -> None:
        micronet = self.init in _MICRONET
        self.buttons.setVisible(micronet)
        text = ""
        if micronet:
            entry, path = find_micronet(self.encoder.currentText(), self.init), self._micronet_file()
            here = path.is_file()
            text = f"On this computer: {path}" if here else "Not on this computer yet; NASA publishes it."
            text += f" Licence {entry.licence}. {entry.note}"
            self.fetch.setEnabled(not here)
        say(self.about, text.strip())
        self.changed.emit()

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Start from", "", "Models and weights (*.safetensors *.pth *.tar);;All files (*)"
        )
        if path:
            self.add_file(path)

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import MicroNet weights", "", "All files (*)")
        if path:
            self.import_weights(path)

    def _begin(self, steps: Any) -> None:
        self._job = Job(steps, self._fetched, self._fetch_ended)
        self.bar.setRange(0, 0)
        self.bar.show()
        for field in (self.start, self.encoder, self.import_file):
            field.setEnabled(False)
        self.changed.emit()
        self._job.start()

    def _fetched(self, report: FetchReport | None) -> None:
        if report is not None and report.total:
            # In kB, because Qt counts with 32 bits.
            self.bar.setRange(0, report.total // 1000)
            self.bar.setValue(report.received // 1000)

    def _fetch_ended(self, outcome: Done[Any] | Failed | Cancelled) -> None:
        self._job = None
        self.bar.hide()
        self.fetch.setText("Fetch")
        for field in (self.start, self.encoder, self.import_file):
            field.setEnabled(True)
        self._encoder_changed()
        if isinstance(outcome, Failed):
            say(self.about, str(outcome.error), "problem")

    def _abandon(self) -> None:
        if self._job is not None:
            self._job.cancel()


def _import_steps(path: str, encoder: str, variant: str) -> Generator[None, None, Path]:
    yield None
    keep_triton_out()
    from napari_micro_ktnet.model.weights import import_weights

    return import_weights(path, encoder, variant)
