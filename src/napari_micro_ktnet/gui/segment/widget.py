"""The Segment widget: choose an image and a model, press Run, move the threshold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs, settings
from napari_micro_ktnet.gui.jobs import Cancelled, Done
from napari_micro_ktnet.gui.links import ViewerLinks
from napari_micro_ktnet.gui.segment.text import describe_model, describe_pixel_sizes, describe_result
from napari_micro_ktnet.gui.segment.view import HELP, SegmentForm
from napari_micro_ktnet.gui.session import RunSession
from napari_micro_ktnet.model.registry import ModelInfo, list_models, model_info

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_micro_ktnet.gui.live_result import LiveResult
    from napari_micro_ktnet.gui.segment.run import TileDone
    from napari_micro_ktnet.gui.session import Outcome

_DEBOUNCE_MS = 25
_NARROWEST = 310
# Of a model in the list: whether it was chosen by its file.
_IS_FILE = Qt.ItemDataRole.UserRole + 1


class SegmentWidget(QWidget):
    """Find agglomerates in an image layer.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer whose layers are segmented.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # A plugin gets a proxy, through which the same layer is never the same object twice.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = SegmentForm(self.viewer)
        self.session: RunSession | None = None
        self.results: dict[Image, LiveResult] = {}
        self._info: ModelInfo | None = None
        self._model_problem = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DEBOUNCE_MS)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)
        self.setMinimumWidth(_NARROWEST)
        settings.apply_cache_folder()
        self._connect_form()
        self._links = ViewerLinks(
            self.viewer, self._layer_inserted, self._layer_removed, self._layers_changed
        )
        self.destroyed.connect(self._links.cut)
        self.refresh_models()
        active = self.viewer.layers.selection.active
        self.form.image.choose(active if isinstance(active, Image) else self.form.image.layer)
        self.update_checks()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.session is not None and self.session.running

    @property
    def result(self) -> LiveResult | None:
        """The last result of the chosen image, which the threshold moves."""
        return self.results.get(self.form.image.layer)

    def refresh_models(self) -> None:
        """Read the list of models again, and keep the choice where it still exists."""
        chosen = self.form.model.currentData()
        files = [
            (self.form.model.itemText(i), self.form.model.itemData(i))
            for i in range(self.form.model.count())
            if self.form.model.itemData(i, _IS_FILE)
        ]
        self.form.model.blockSignals(True)
        self.form.model.clear()
        for info in list_models():
            self.form.model.addItem(info.name, info.name)
        for text, path in files:
            self._add_file(text, path)
        self.form.model.setCurrentIndex(max(0, self.form.model.findData(chosen)))
        self.form.model.blockSignals(False)
        self._model_changed()

    def add_model_file(self, path: str) -> None:
        """Choose a model by its file."""
        index = self.form.model.findData(path)
        if index < 0:
            self._add_file(Path(path).stem, path)
            index = self.form.model.count() - 1
        self.form.model.setCurrentIndex(index)

    def _add_file(self, text: str, path: str) -> None:
        self.form.model.addItem(text, path)
        self.form.model.setItemData(self.form.model.count() - 1, True, _IS_FILE)

    def run_or_cancel(self) -> None:
        """Start a run, or cancel the one under way."""
        if self.session is not None and self.session.running:
            self.session.cancel()
            self.form.run.setEnabled(False)
            self.form.run.setText("Cancelling…")
            return
        if not self.update_checks() or self._info is None:
            return
        image = self.form.image.layer
        request = self.form.request(image)
        self.session = RunSession(self.viewer, image, request, self._info.spec, self.result)
        self.session.threshold = lambda: self.form.threshold.value
        self.session.on_tile = self._tile_done
        self.session.on_end = partial(self._run_ended, self.session)
        # The widget may be deleted before the run ends; `self` must not be touched then.
        self.destroyed.connect(self.session.abandon)
        self._say("Loading the model…")
        self.form.progress.setRange(0, 0)
        self.form.progress.show()
        self.form.run.setText("Cancel")
        self.session.start()

    def update_checks(self) -> bool:
        """Mark bad fields, say the first problem, and let Run be pressed only where there is none."""
        form, image = self.form, self.form.image.layer
        factors = inputs.pixel_size_factors(image, self._info.spec if self._info else None)
        form.pixel_size_note.setVisible(factors is not None)
        form.rescale.setVisible(factors is not None)
        if factors is not None and image is not None and self._info is not None:
            form.pixel_size_note.setText(describe_pixel_sizes(image, self._info.spec))
        form.region_mode.setEnabled(form.region.layer is not None)
        problems = {
            "image": inputs.check_image(image),
            "model": self._model_problem,
            "region": inputs.check_region(form.region.layer),
            "tile": inputs.check_tile(form.tile.value()),
        }
        sound = image is not None and not problems["image"]
        problems["field"] = inputs.check_view(self.viewer, image, form.view_only) if sound else ""
        asked = factors if sound and form.rescaled else None
        problems["rescale"] = inputs.check_rescale(image, asked)
        for name, problem in problems.items():
            inputs.mark(getattr(form, name), problem, HELP[name])
        first = next((p for p in problems.values() if p), "")
        if not self.running:
            form.run.setEnabled(not first)
            form.run.setToolTip(first or "Segment the image")
            self._say(first or self._result_text(), problem=bool(first))
        return not first

    def _connect_form(self) -> None:
        form = self.form
        form.run.clicked.connect(self.run_or_cancel)
        form.browse.clicked.connect(self._browse)
        form.refresh.clicked.connect(self.refresh_models)
        form.model.currentIndexChanged.connect(self._model_changed)
        form.image.currentIndexChanged.connect(self._image_changed)
        for combo in (form.region, form.field):
            combo.currentIndexChanged.connect(self.update_checks)
        form.tile.valueChanged.connect(self.update_checks)
        form.rescale.toggled.connect(self.update_checks)
        form.threshold.changed.connect(self._timer.start)
        self._timer.timeout.connect(self._relabel)
        form.probability.toggled.connect(self._show_probability)

    def _layer_inserted(self, layer: Any) -> None:
        self._layers_changed()
        if isinstance(layer, Image) and not self.running:
            self.form.image.choose(layer)

    def _layer_removed(self, layer: Any) -> None:
        self.results.pop(layer, None)
        for image in [i for i, live in self.results.items() if live.labels is layer]:
            self.results.pop(image).show_probability(False)
        self._layers_changed()

    def _layers_changed(self) -> None:
        self.form.image.refill()
        self.form.region.refill()
        self.update_checks()

    def _image_changed(self) -> None:
        result = self.result
        self.form.probability.blockSignals(True)
        self.form.probability.setChecked(result is not None and bool(result.probability))
        self.form.probability.blockSignals(False)
        if result is not None:
            self.form.threshold.set_value(result.threshold)
            self._timer.stop()
        self.update_checks()

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", "", "Models (*.safetensors);;All files (*)"
        )
        if path:
            self.add_model_file(path)

    def _model_changed(self) -> None:
        name = self.form.model.currentData()
        self._info, self._model_problem = None, ""
        if name is None:
            self._model_problem = "No model is installed: choose a model file with … or train one."
        else:
            try:
                self._info = model_info(name)
            except MicroKTNetError as error:
                self._model_problem = str(error)
        self.form.about.setText(describe_model(self._info))
        self.update_checks()

    def _tile_done(self, tile: TileDone) -> None:
        if tile.total:
            self.form.progress.setRange(0, tile.total)
            self.form.progress.setValue(tile.done)
            self._say(f"Tile {tile.done} of {tile.total}")

    def _run_ended(self, session: RunSession, outcome: Outcome) -> None:
        self.destroyed.disconnect(session.abandon)
        self.session = None
        self.form.progress.hide()
        self.form.run.setText("Run")
        if isinstance(outcome, Done):
            self.results[session.image] = session.live
            if self.form.probability.isChecked() and session.image is self.form.image.layer:
                session.live.show_probability(True)
        self.update_checks()
        if isinstance(outcome, Cancelled):
            self._say("Cancelled; nothing was changed.")
        elif isinstance(outcome, Done):
            self._say(f"Done in {session.seconds:.1f} s. {self._result_text()}")
        else:
            self._say(str(outcome.error), problem=True)

    def _relabel(self) -> None:
        result = self.result
        if result is None or result.outdated or self.running:
            return
        note = ""
        if result.relabel(self.form.threshold.value):
            note = "The labels were edited, so they were kept, and a new layer was added. "
        self._say(note + self._result_text())

    def _show_probability(self, show: bool) -> None:
        if self.result is not None:
            self.result.show_probability(show)

    def _result_text(self) -> str:
        return describe_result(self.result) if self.result is not None and not self.result.outdated else ""

    def _say(self, text: str, *, problem: bool = False) -> None:
        self.form.message.setStyleSheet("color: #ff8c82;" if problem else "")
        self.form.message.setText(text)
