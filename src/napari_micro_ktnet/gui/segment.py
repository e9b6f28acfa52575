"""The Segment widget: choose an image and a model, press Run, move the threshold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Shapes
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs, settings
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.jobs import Cancelled, Done
from napari_micro_ktnet.gui.segment_run import Request
from napari_micro_ktnet.gui.segment_text import describe_model, describe_pixel_sizes, describe_result
from napari_micro_ktnet.gui.segment_view import HELP, SegmentForm
from napari_micro_ktnet.gui.session import RunSession
from napari_micro_ktnet.model.registry import ModelInfo, list_models, model_info

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_micro_ktnet.gui.live_result import LiveResult
    from napari_micro_ktnet.gui.segment_run import TileDone
    from napari_micro_ktnet.gui.session import Outcome

_DEBOUNCE_MS = 25


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
        settings.apply_cache_folder()
        self._connect_form()
        self._connect_viewer()
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
            if Path(self.form.model.itemData(i)).suffix
        ]
        self.form.model.blockSignals(True)
        self.form.model.clear()
        for text, data in [*((info.name, info.name) for info in list_models()), *files]:
            self.form.model.addItem(text, data)
        self.form.model.setCurrentIndex(max(0, self.form.model.findData(chosen)))
        self.form.model.blockSignals(False)
        self._model_changed()

    def add_model_file(self, path: str) -> None:
        """Choose a model by its file."""
        index = self.form.model.findData(path)
        if index < 0:
            self.form.model.addItem(Path(path).stem, path)
            index = self.form.model.count() - 1
        self.form.model.setCurrentIndex(index)

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
        self.session = RunSession(self.viewer, image, self._request(image), self._info.spec, self.result)
        self.session.threshold = lambda: self.form.threshold.value
        self.session.on_tile = self._tile_done
        self.session.on_end = self._run_ended
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
        problems["field"] = (
            inputs.check_view(self.viewer, image, form.field.currentIndex() == 1) if sound else ""
        )
        asked = factors if sound and form.rescale.isChecked() else None
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

    def _connect_viewer(self) -> None:
        events = self.viewer.layers.events
        links = [
            (events.inserted, self._layer_inserted),
            (events.removed, self._layer_removed),
            (events.reordered, self._layers_changed),
            (self.viewer.dims.events.ndisplay, self._viewer_changed),
            (self.viewer.dims.events.order, self._viewer_changed),
        ]
        for emitter, callback in links:
            emitter.connect(callback)
        for layer in self.viewer.layers:
            self._watch(layer)
        # Without this a closed widget would be called, and fail, at the next change of the viewer.
        self.destroyed.connect(partial(_disconnect, self.viewer, links, self._layers_changed))

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, (Image, Shapes)):
            for name in ("name", "data", "scale", "units"):
                getattr(layer.events, name).connect(self._layers_changed)

    def _layer_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._layers_changed()
        ours = any(event.value in live.probability for live in self.results.values())
        if isinstance(event.value, Image) and not self.running and not ours:
            self.form.image.choose(event.value)

    def _layer_removed(self, event: Any) -> None:
        self.results.pop(event.value, None)
        for image in [i for i, live in self.results.items() if live.labels is event.value]:
            self.results.pop(image).show_probability(False)
        self._layers_changed()

    def _layers_changed(self, event: Any = None) -> None:
        self.form.image.refill()
        self.form.region.refill()
        self.update_checks()

    def _viewer_changed(self, event: Any = None) -> None:
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

    def _request(self, image: Image) -> Request:
        form = self.form
        assert self._info is not None
        sem = convert.sem_image_of(image)
        shapes = form.region.layer
        everything = (slice(None), slice(None))
        return Request(
            pixels=convert.full_data(image),
            rgb=bool(image.rgb),
            name=image.name,
            pixel_size=convert.pixel_size_nm(image),
            data_bar=sem.data_bar if sem else None,
            search_bar=sem is None,
            box=convert.view_box(image) if form.field.currentIndex() == 1 else everything,
            polygons=convert.outlines(shapes, image) if shapes is not None else (),
            exclude=form.region_mode.currentIndex() == 1,
            model=form.model.currentData(),
            match_pixel_size=form.rescale.isVisibleTo(form) and form.rescale.isChecked(),
            options={
                "tile": form.tile.value() or None,
                "overlap": form.overlap.value(),
                "device": form.device.currentText(),
                "precision": form.precision.currentText(),
            },
        )

    def _tile_done(self, tile: TileDone) -> None:
        if tile.total:
            self.form.progress.setRange(0, tile.total)
            self.form.progress.setValue(tile.done)
            self._say(f"Tile {tile.done} of {tile.total}")

    def _run_ended(self, outcome: Outcome) -> None:
        session = self.session
        assert session is not None
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
        if result is None or self.running:
            return
        note = ""
        if result.relabel(self.form.threshold.value):
            note = "The labels were edited, so they were kept, and a new layer was added. "
        self._say(note + self._result_text())

    def _show_probability(self, show: bool) -> None:
        if self.result is not None:
            self.result.show_probability(show)

    def _result_text(self) -> str:
        return describe_result(self.result) if self.result is not None else ""

    def _say(self, text: str, *, problem: bool = False) -> None:
        self.form.message.setStyleSheet("color: #ff8c82;" if problem else "")
        self.form.message.setText(text)


def _disconnect(viewer: Any, links: list[tuple[Any, Any]], layer_callback: Any, _: object = None) -> None:
    for emitter, callback in links:
        emitter.disconnect(callback)
    for layer in viewer.layers:
        if isinstance(layer, (Image, Shapes)):
            for name in ("name", "data", "scale", "units"):
                getattr(layer.events, name).disconnect(layer_callback)
