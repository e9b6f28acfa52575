"""The measuring tab of the Agglomerates widget: from labels to sizes, dispersion and a verdict."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui.agglomerates import layers as draw
from napari_micro_ktnet.gui.agglomerates.choice import MeasureChoice
from napari_micro_ktnet.gui.agglomerates.preview import SplitPreview
from napari_micro_ktnet.gui.agglomerates.run import Measured, Step, measure_steps
from napari_micro_ktnet.gui.agglomerates.saving import Saving
from napari_micro_ktnet.gui.agglomerates.shown import ShownObjects
from napari_micro_ktnet.gui.agglomerates.text import summary, warnings
from napari_micro_ktnet.gui.agglomerates.trace import Origin, origin_of
from napari_micro_ktnet.gui.agglomerates.view import HELP, AgglomeratesForm
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed
from napari_micro_ktnet.gui.links import ViewerLinks
from napari_micro_ktnet.gui.parts import say
from napari_micro_ktnet.gui.task import Task

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.places import Place

_DEBOUNCE_MS = 250
_STALE = "Something was changed since: press Measure again."
_PLUGIN = "napari-micro-ktnet"


class MeasureTab(QWidget):
    """Measure the agglomerates of Labels layers.

    Parameters
    ----------
    viewer : Viewer
        The viewer whose layers are measured.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.form = AgglomeratesForm(viewer)
        self.choice = MeasureChoice(viewer, self.form)
        self.preview = SplitPreview(viewer, self._preview_changed)
        self.task: Task[Step, Measured] | None = None
        self.shown = ShownObjects(viewer)
        self.saving = Saving(self.form.results.export)
        self._measuring: list[ChosenField] = []
        self._state: tuple[Any, ...] = ()
        self._stale = False
        # A brush stroke, or turning a wheel, tells of every little piece of it.
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
        self._connect_form()
        self._links = ViewerLinks(
            viewer, self._layers_changed, self._removed, self._layers_changed, self._painted
        )
        self.destroyed.connect(self._links.cut)
        # The widget may be deleted before a preview is done; `self` must not be touched then.
        self.destroyed.connect(self.preview.abandon)
        self.destroyed.connect(self.saving.abandon)
        self._layers_changed()

    @property
    def running(self) -> bool:
        """Whether a measurement is under way."""
        return self.task is not None

    def measure_or_cancel(self) -> None:
        """Start a measurement, or cancel the one under way."""
        if self.task is not None:
            self.task.cancel()
            self.form.measure.setEnabled(False)
            self.form.measure.setText("Cancelling…")
            return
        if not self.update_checks():
            return
        self._timer.stop()
        self.preview.cancel()
        request = self.choice.request()
        self._measuring = self.choice.chosen
        where = [draw.place_of(each.labels, each.image) for each in self._measuring]
        origins = [origin_of(each) for each in self._measuring]
        # What is painted from now on makes this result stale; one that is cancelled leaves all as it is.
        before, self._stale = self._stale, False
        self.task = Task(lambda: measure_steps(request), "Measure agglomerates")
        self.task.on_step = self._step
        self.task.on_end = partial(self._ended, self.task, (self.choice.state(), where, origins), before)
        self.destroyed.connect(self.task.abandon)
        self.form.progress.setRange(0, 0)
        self.form.progress.show()
        self.form.measure.setText("Cancel")
        say(self.form.message, "Measuring…")
        self.task.start()

    def update_checks(self) -> bool:
        """Mark bad fields, say the first problem, and let Measure be pressed only where there is none."""
        form = self.form
        problems, odd, mixed = self.choice.problems()
        for name in ("pixel_size", "min_unit", "border"):
            inputs.mark(getattr(form, name), problems[name], HELP[name])
        first = next((p for p in problems.values() if p), "")
        if not self.running:
            form.measure.setEnabled(not first)
            form.measure.setToolTip(first or "Measure the ticked labels")
            say(form.message, first or self._result_text(), "problem" if first else "")
            say(form.warnings, "\n".join(self._warnings(odd, mixed)), "warning")
            # It is there again, with a word that it is old, once the problem is mended.
            form.results.show_verdict(shown=not first)
        return not first

    def go_to_object(self, row: int) -> None:
        """Show an object of the table."""
        if self.form.results.objects is not None:
            self.shown.go_to_object(self.form.results.objects, row)

    def go_to_field(self, index: int) -> None:
        """Show a field of the table."""
        if self.form.results.measured is not None:
            self.shown.go_to_field(index, self.form.results.measured.objects[index].shape)

    def show_preview(self) -> None:
        """Show what the chosen depth would cut, or take the preview away."""
        form = self.form
        if self.running:
            return
        form.show_split(split=form.split.isChecked())
        sound = self.update_checks()
        wanted = form.split.isChecked() and form.preview.isChecked() and sound
        # What was measured with this very depth is seen already.
        wanted = wanted and (self._stale or self.choice.state() != self._state)
        if not wanted:
            self.preview.remove()
            self._preview_changed()
            return
        chosen = self.choice.chosen
        active = self.viewer.layers.selection.active
        each = next((x for x in chosen if active in (x.labels, x.image)), chosen[0])
        if not self.preview.knows(each.labels, self.choice.options):
            self.preview.show(each, self.choice.field(each), self.choice.options)

    def cancel_preview(self) -> None:
        """Give a preview up that is at work, and go back to the depth of the one that is shown."""
        form, before, now = self.form, self.preview.options, self.choice.options
        self.preview.cancel()
        if before is None or before.split is None:
            form.split.setChecked(False)
        elif replace(before, split=now.split) == now:
            form.split_depth.setValue(before.split)
        else:
            form.preview.setChecked(False)

    def open_sem_info(self) -> None:
        """Open the widget that sets pixel sizes."""
        window = getattr(self.viewer, "window", None)
        if window is None:
            show_warning("Open Plugins > Micro-KTNet > SEM info to set the pixel size.")
            return
        window.add_plugin_dock_widget(_PLUGIN, "SEM info")

    def _connect_form(self) -> None:
        form, results = self.form, self.form.results
        form.measure.clicked.connect(self.measure_or_cancel)
        form.fields.changed.connect(self._changed)
        for line in (form.pixel_size, form.limits.path):
            line.textChanged.connect(self._changed)
        for number in (form.split_depth, form.min_size, form.d_star):
            number.valueChanged.connect(self._changed)
        for box in (form.split, form.preview, form.fill_holes, form.ripley):
            box.toggled.connect(self._changed)
        for choice in (form.min_unit, form.border):
            choice.currentIndexChanged.connect(self._changed)
        form.stop.clicked.connect(self.cancel_preview)
        form.sem_info.clicked.connect(self.open_sem_info)
        self._timer.timeout.connect(self.show_preview)
        results.object_chosen.connect(self.go_to_object)
        results.field_chosen.connect(self.go_to_field)
        results.alone.toggled.connect(self.shown.hide_measured)

    def _changed(self) -> None:
        self.form.show_split(split=self.form.split.isChecked())
        self.update_checks()
        self._timer.start()

    def _layers_changed(self, layer: Any = None) -> None:
        self.choice.layers_changed()

    def _removed(self, layer: Layer) -> None:
        self.choice.forget(layer)
        if self.task is not None and layer in [each.labels for each in self._measuring]:
            # Whoever deletes what is measured does not want to know.
            self.task.cancel()
        if layer is self.preview.labels:
            self.preview.remove()
        self._layers_changed()

    def _painted(self, layer: Layer) -> None:
        self.choice.forget(layer)
        measured = [each.labels for each in (*self.shown.fields, *self._measuring)]
        if layer in measured:
            self._stale = True
        if layer in (*measured, *(each.labels for each in self.choice.chosen)):
            self.preview.forget(layer)
            self._timer.start()

    def _step(self, step: Step) -> None:
        if step.total > 1:
            self.form.progress.setRange(0, step.total)
            self.form.progress.setValue(step.done)
        if step.text:
            say(self.form.message, f"Measuring {step.text}")

    def _ended(
        self,
        task: Task[Step, Measured],
        asked: tuple[tuple[Any, ...], list[Place], list[Origin]],
        stale_before: bool,
        outcome: Done[Measured] | Failed | Cancelled,
    ) -> None:
        self.destroyed.disconnect(task.abandon)
        self.task = None
        self.form.progress.hide()
        self.form.measure.setText("Measure")
        if isinstance(outcome, Done):
            self._state, where, origins = asked
            self._show(outcome.value, where)
            self.saving.offer(outcome.value, origins)
        else:
            self._stale = self._stale or stale_before
        self._measuring = []
        # Depth may have been changed meanwhile.
        self._timer.start()
        self.update_checks()
        if isinstance(outcome, Cancelled):
            say(self.form.message, "Cancelled; nothing was changed.")
        elif isinstance(outcome, Failed):
            say(self.form.message, str(outcome.error), "problem")

    def _show(self, measured: Measured, where: list[Place]) -> None:
        results = self.form.results
        self.preview.remove()
        hide = results.alone.isChecked()
        results.alone.setChecked(False)
        results.show_measured(measured)
        if results.objects is not None:
            self.shown.show(measured, results.objects, self._measuring, where)
        results.alone.setChecked(hide)

    def _preview_changed(self) -> None:
        form = self.form
        form.stop.setVisible(self.preview.running)
        text = self.preview.problem or self.preview.text
        say(form.preview_note, text, "problem" if self.preview.problem else "")

    def _result_text(self) -> str:
        measured = self.form.results.measured
        if measured is None:
            return ""
        stale = self._stale or self._state != self.choice.state()
        return (_STALE + " " if stale else "") + summary(measured.measurement)

    def _warnings(self, odd: list[str], mixed: list[str]) -> list[str]:
        measured = self.form.results.measured
        if measured is None or self._state != self.choice.state():
            return [*odd, *mixed]
        return [*odd, *warnings(measured.measurement)]
