"""The Metrics widget: is this prediction good, and where is it wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs, places
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.jobs import Cancelled, Done, report_failure
from napari_micro_ktnet.gui.label_layers import record_of
from napari_micro_ktnet.gui.links import ViewerLinks
from napari_micro_ktnet.gui.metrics import layers as draw
from napari_micro_ktnet.gui.metrics.choice import Choice
from napari_micro_ktnet.gui.metrics.folder import FolderView
from napari_micro_ktnet.gui.metrics.session import MetricsSession
from napari_micro_ktnet.gui.metrics.text import summary
from napari_micro_ktnet.gui.metrics.view import HELP, MetricsForm
from napari_micro_ktnet.gui.parts import say

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer

    from napari_micro_ktnet.gui.metrics.run import Step
    from napari_micro_ktnet.gui.metrics.session import Outcome

_NARROWEST = 310
_DEBOUNCE_MS = 150
_STALE = "The layers were changed since: press Compare again."


class MetricsWidget(QWidget):
    """Compare a prediction with the truth.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer whose layers are compared.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # A plugin gets a proxy, through which the same layer is never the same object twice.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = MetricsForm(self.viewer)
        self.choice = Choice(self.viewer, self.form)
        self.folder_view = FolderView(self.viewer)
        self.session: MetricsSession | None = None
        self._compared: tuple[Layer | None, Layer | None] = (None, None)
        self._place: places.Place | None = None
        self._errors: Labels | None = None
        self._sizes: list[tuple[float, float] | None] = []
        self._hidden: list[Layer] = []
        self._subject = ""
        self._stale = False
        # A brush stroke tells of every little piece of it.
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
        self._connect_form()
        self._links = ViewerLinks(
            self.viewer, self._layers_changed, self._layer_removed, self._layers_changed, self._painted
        )
        self.destroyed.connect(self._links.cut)
        self._layers_changed()

    @property
    def running(self) -> bool:
        """Whether a comparison is under way."""
        return self.session is not None and self.session.running

    def compare_or_cancel(self) -> None:
        """Start a comparison, or cancel the one under way."""
        if self.session is not None and self.session.running:
            self.session.cancel()
            self.form.compare.setEnabled(False)
            self.form.compare.setText("Cancelling…")
            return
        if not self.update_checks():
            return
        request = self.choice.request()
        self._compared = (None, None) if self.choice.folders else self.choice.layers
        self._place = None if self.choice.folders else self.choice.place()
        self._sizes = self._sizes_now()
        self._subject = (
            " against ".join(layer.name for layer in self._compared if layer is not None) or "Folders"
        )
        threshold = record_of(self._compared[0]).get("threshold")
        self.session = MetricsSession(request)
        self.session.on_step = self._step
        self.session.on_end = partial(self._ended, self.session, threshold)
        # The widget may be deleted before the end; `self` must not be touched then.
        self.destroyed.connect(self.session.abandon)
        self.form.progress.setRange(0, 0)
        self.form.progress.show()
        self.form.compare.setText("Cancel")
        say(self.form.message, "Comparing…")
        self.session.start()

    def update_checks(self) -> bool:
        """Mark bad fields, say the first problem, and let Compare be pressed only where there is none."""
        form = self.form
        problems = self.choice.problems()
        for name, problem in problems.items():
            inputs.mark(getattr(form, name), problem, HELP[name])
        first = next((p for p in problems.values() if p), "")
        if not self.running:
            form.compare.setEnabled(not first)
            form.compare.setToolTip(first or "Compare the prediction with the truth")
            say(form.message, first or self._result_text(), "problem" if first else "")
        return not first

    def _connect_form(self) -> None:
        form, results = self.form, self.form.results
        form.compare.clicked.connect(self.compare_or_cancel)
        form.source.currentIndexChanged.connect(self._source_changed)
        for layers in (form.prediction, form.truth):
            layers.currentIndexChanged.connect(self._chosen)
        for box in (form.meaning, form.unlabelled, form.probability, form.region, form.tolerance_unit):
            box.currentIndexChanged.connect(self.update_checks)
        for line in (form.classes, form.predictions, form.masks):
            line.textChanged.connect(self.update_checks)
        form.resample.toggled.connect(self.update_checks)
        self._timer.timeout.connect(self._chosen)
        results.object_chosen.connect(self.go_to_object)
        results.images.chosen.connect(self._go_to_row_of_image)
        results.alone.toggled.connect(self._show_errors_alone)
        results.copy.clicked.connect(results.copy_table)
        results.csv.clicked.connect(self._save_csv)
        results.json.clicked.connect(self._save_json)

    def go_to_object(self, row: int) -> None:
        """Show an object of the table: the camera goes there, and a box is drawn around it."""
        objects = self.form.results.objects
        if objects is None:
            return
        index = int(objects.image[row])
        place = self._place_of_image(index)
        if place is not None:
            places.look_at_box(self.viewer, objects.boxes[row], place, index)
            places.show_box(self.viewer, objects.boxes[row], place, index)

    def _go_to_row_of_image(self, row: int) -> None:
        comparison = self.form.results.comparison
        if comparison is None:
            return
        index = row // len(comparison.evaluation.classes)
        place = self._place_of_image(index)
        if place is not None:
            height, width = comparison.evaluation.images[index].shape
            places.remove_box(self.viewer)
            places.look_at_box(self.viewer, places.whole(height, width), place, index)

    def _place_of_image(self, index: int) -> places.Place | None:
        comparison = self.form.results.comparison
        if comparison is None:
            return None
        if self._place is not None:
            errors = self._errors
            if errors is not None and errors in self.viewer.layers:
                # Its scale may have been set since.
                return replace(self._place, geometry=convert.geometry(errors))
            return self._place
        try:
            return self.folder_view.show(comparison, index)
        except MicroKTNetError as error:
            report_failure(error)
            return None

    def _chosen(self) -> None:
        self.choice.suggest()
        self.update_checks()

    def _source_changed(self) -> None:
        self.form.show_folders(self.choice.folders)
        self._chosen()

    def _layers_changed(self, layer: Any = None) -> None:
        self.choice.layers_changed()
        self._chosen()

    def _layer_removed(self, layer: Layer) -> None:
        self.choice.forget(layer)
        if self.running and self.session is not None and layer in self._compared:
            # Whoever deletes what is compared does not want to know.
            self.session.cancel()
        self._layers_changed()

    def _painted(self, layer: Layer) -> None:
        self.choice.forget(layer)
        if layer in (*self._compared, *self.choice.layers):
            self._timer.start()
        if layer in self._compared and not self.running:
            self._stale = True

    def _step(self, step: Step) -> None:
        if step.total > 1:
            self.form.progress.setRange(0, step.total)
            self.form.progress.setValue(step.done)
            say(self.form.message, f"Image {min(step.done + 1, step.total)} of {step.total}")

    def _ended(self, session: MetricsSession, threshold: float | None, outcome: Outcome) -> None:
        self.destroyed.disconnect(session.abandon)
        self.session = None
        self.form.progress.hide()
        self.form.compare.setText("Compare")
        if isinstance(outcome, Done):
            places.remove_box(self.viewer)
            self.form.results.show_comparison(outcome.value, threshold)
            self._stale = False
            if outcome.value.errors is not None and self._place is not None:
                self._errors = draw.show_errors(self.viewer, outcome.value.errors, self._place)
            self._show_errors_alone(self.form.results.alone.isChecked())
        self.update_checks()
        if isinstance(outcome, Cancelled):
            say(self.form.message, "Cancelled; nothing was changed.")
        elif not isinstance(outcome, Done):
            say(self.form.message, str(outcome.error), "problem")

    def _result_text(self) -> str:
        comparison = self.form.results.comparison
        if comparison is None:
            return ""
        stale = self._stale or self._sizes != self._sizes_now()
        text = (_STALE + " " if stale else "") + summary(comparison.evaluation)
        chosen = (None, None) if self.choice.folders else self.choice.layers
        # What is shown stays, also when other layers are chosen or its own are deleted.
        return text if self._compared == chosen else f"{self._subject}: {text}"

    def _sizes_now(self) -> list[tuple[float, float] | None]:
        return [convert.pixel_size_nm(layer) for layer in self._compared if layer is not None]

    def _show_errors_alone(self, alone: bool) -> None:
        for layer in self._hidden:
            if layer in self.viewer.layers:
                layer.visible = True
        self._hidden = [x for x in self._compared if x is not None and x.visible] if alone else []
        for layer in self._hidden:
            layer.visible = False

    def _save_csv(self) -> None:
        path = self._ask("Save the objects" if self.form.results.shows_objects else "Save the scores", "csv")
        if path is not None:
            self._save(partial(self.form.results.save_csv, path))

    def _save_json(self) -> None:
        comparison = self.form.results.comparison
        path = self._ask("Save everything", "json") if comparison is not None else None
        if path is not None and comparison is not None:
            self._save(partial(comparison.evaluation.write_json, path))

    def _ask(self, title: str, ending: str) -> Path | None:
        name, _ = QFileDialog.getSaveFileName(
            self, title, f"metrics.{ending}", f"{ending.upper()} (*.{ending})"
        )
        if not name:
            return None
        path = Path(name)
        return path if path.suffix else path.with_suffix(f".{ending}")

    def _save(self, write: partial[Any]) -> None:
        try:
            write()
        except MicroKTNetError as error:
            report_failure(error)
