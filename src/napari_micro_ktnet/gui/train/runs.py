"""Runs in the Train widget: begin, pause, cancel, resume, attach; the list of those there are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui.jobs import Done, Failed, report_failure
from napari_micro_ktnet.gui.parts import say
from napari_micro_ktnet.gui.train.history import History
from napari_micro_ktnet.gui.train.live import (
    describe_end,
    describe_offer,
    describe_progress,
    describe_run,
    describe_run_fully,
    show_progress,
)
from napari_micro_ktnet.gui.train.run import Training, TrainRequest, free_name, running_runs
from napari_micro_ktnet.gui.train.session import TrainSession, followed_runs
from napari_micro_ktnet.gui.train.view import HELP
from napari_micro_ktnet.training.run import Run, RunSummary, list_runs

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from napari_micro_ktnet.gui.train.run import Update
    from napari_micro_ktnet.gui.train.session import Outcome
    from napari_micro_ktnet.gui.train.view import TrainForm
    from napari_micro_ktnet.training.config import TrainingConfig

_UNFINISHED = ("running", "interrupted", "stopped", "failed", "new")
_OFFERED = ("running", "interrupted", "stopped")


class RunPanel:
    """The lower part of the form, from Train on.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the previews.
    form : TrainForm
        The form.
    update_checks : callable
        Called after a run began or ended.
    trained : callable
        Called when there is a new model.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        form: TrainForm,
        update_checks: Callable[[], object],
        trained: Callable[[], object],
    ) -> None:
        self._viewer, self._form = viewer, form
        self._update_checks, self._trained = update_checks, trained
        self.session: TrainSession | None = None
        self._runs: list[RunSummary] = []
        self._ended: tuple[str, str] = ("", "")
        form.pause.clicked.connect(self.pause_or_resume)
        form.cancel.clicked.connect(self.cancel)
        form.attach.clicked.connect(self.attach_or_resume)
        form.refresh.clicked.connect(lambda: self.refresh())
        form.runs.currentIndexChanged.connect(self._run_chosen)

    @property
    def running(self) -> bool:
        """Whether a run is followed now."""
        return self.session is not None and self.session.running

    def train(self, make_request: Callable[[], TrainRequest]) -> None:
        """Begin a run, unless another one is going on."""
        busy = sorted({*running_runs(), *followed_runs()})
        if busy:
            self.refresh()
            self._refuse(
                f"The run {busy[0]!r} is training on this computer already, and two at once would slow each "
                "other down. Attach to it below, or wait for its end."
            )
            return
        try:
            request = make_request()
        except MicroKTNetError as error:
            self._refuse(str(error))
            return
        self._follow(Training.new(request), request.training)

    def pause_or_resume(self) -> None:
        """Stop for a while, or go on."""
        if self.running:
            self._stop(discard=False, text="Pausing: the step at work is finished and everything saved…")
        elif self.session is not None:
            self._go_on(self.session.training.path.name)

    def cancel(self) -> None:
        """Stop for good."""
        if self.running:
            self._stop(discard=True, text="Cancelling: the step at work is finished…")

    def attach_or_resume(self) -> None:
        """Follow the run that is chosen in the list; start it again where it is not running."""
        if self._form.runs.currentData() is not None and not self.running:
            self._go_on(self._form.runs.currentData())

    def refresh(self, *, offer: bool = False) -> None:
        """Read the folder of runs again."""
        found = list_runs()
        self._runs = sorted(found, key=lambda run: run.status not in _UNFINISHED)
        combo = self._form.runs
        chosen = combo.currentData()
        combo.blockSignals(True)
        combo.clear()
        for run in self._runs:
            combo.addItem(describe_run(run), run.path.name)
            combo.setItemData(combo.count() - 1, describe_run_fully(run), Qt.ItemDataRole.ToolTipRole)
        combo.setCurrentIndex(max(0, combo.findData(chosen)))
        combo.blockSignals(False)
        self._run_chosen()
        open_runs = [run for run in self._runs if run.status in _OFFERED]
        if offer and open_runs:
            first = next((run for run in open_runs if run.status == "running"), open_runs[0])
            combo.setCurrentIndex(combo.findData(first.path.name))
            say(self._form.offer, describe_offer(first), "warning")

    def show_message(self, problem: str) -> None:
        """Say what keeps Train from being pressed; else how the last run ended."""
        if problem and not self._ended[0]:
            say(self._form.message, problem, "problem")
        elif problem:
            say(self._form.message, f"{self._ended[0]}\n{problem}", self._ended[1])
        else:
            say(self._form.message, *self._ended)

    def abandon(self) -> None:
        """Look away: the widget is gone, the run goes on."""
        if self.session is not None:
            self.session.abandon()

    def _run_chosen(self) -> None:
        run = next((r for r in self._runs if r.path.name == self._form.runs.currentData()), None)
        self._form.runs.setToolTip(describe_run_fully(run) if run is not None else HELP["runs"])
        self._form.attach.setText("Attach" if run is not None and run.status == "running" else "Resume")
        self._form.attach.setEnabled(run is not None and run.status in _UNFINISHED and not self.running)

    def _go_on(self, name: str) -> None:
        self.refresh()
        run = next((r for r in self._runs if r.path.name == name), None)
        if run is None:
            self._refuse(f"The run {name!r} is gone.")
            return
        busy = sorted({*running_runs(), *followed_runs()} - {name})
        if run.status != "running" and busy:
            self._refuse(f"The run {busy[0]!r} is training on this computer: wait for its end.")
            return
        try:
            config = Run(run.path).config.training
        except MicroKTNetError as error:
            self._refuse(str(error))
            return
        follow = Training.attach if run.status == "running" else Training.resume
        self._follow(follow(run.path), config)

    def _follow(self, training: Training, config: TrainingConfig) -> None:
        form = self._form
        if self.session is not None:
            self.session.preview.remove()
        history = History(config.steps, config.validate_every)
        self.session = TrainSession(self._viewer, training, history, config.classes)
        self.session.on_update = self._updated
        self.session.on_end = partial(self._run_ended, self.session)
        self._ended = ("", "")
        hidden: tuple[QWidget, ...] = (form.fields, form.offer, form.train)
        for part in hidden:
            part.hide()
        for button in (form.pause, form.cancel):
            button.setEnabled(True)
            button.show()
        form.progress.show()
        form.pause.setText("Pause")
        show_progress(form.progress, history, config.classes)
        say(form.message, "Starting…")
        self.session.start()
        self._run_chosen()
        self._update_checks()

    def _stop(self, *, discard: bool, text: str) -> None:
        assert self.session is not None  # noqa: S101 - there is one while it runs
        self.session.stop(discard=discard)
        self._form.pause.setEnabled(False)
        self._form.cancel.setEnabled(False)
        say(self._form.message, text)

    def _updated(self, update: Update) -> None:
        session = self.session
        if session is None or not (update.events or update.text):
            return
        show_progress(self._form.progress, session.history, session.classes)
        if self._form.cancel.isEnabled():
            text = update.text or describe_progress(session.history)
            say(self._form.message, text, "warning" if session.history.notice else "")

    def _run_ended(self, session: TrainSession, outcome: Outcome) -> None:
        form = self._form
        if isinstance(outcome, Failed):
            report_failure(outcome.error)
        status = outcome.value.status if isinstance(outcome, Done) else "failed"
        paused = status in ("stopped", "interrupted", "failed") and not session.discarding
        resumable = paused and session.training.path.is_dir() and session.history.step > 0
        form.fields.show()
        form.train.show()
        form.cancel.hide()
        form.pause.setVisible(resumable)
        form.pause.setEnabled(True)
        form.pause.setText("Resume")
        form.progress.setVisible(session.history.step > 0 and not session.discarding)
        self._ended = describe_end(session, outcome)
        if not resumable:
            self.session = None
        if status == "finished":
            self._trained()
        elif session.training.path.is_dir():
            form.name.setText(free_name(form.name.text()))
        self.refresh()
        self._update_checks()

    def _refuse(self, text: str) -> None:
        say(self._form.message, text, "problem")
