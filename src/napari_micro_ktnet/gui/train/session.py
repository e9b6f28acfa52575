"""A training run in a viewer: the job that follows it, its history, its preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job
from napari_micro_ktnet.gui.train.history import History
from napari_micro_ktnet.gui.train.layers import Preview
from napari_micro_ktnet.gui.train.run import Training, Update

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel

    from napari_micro_ktnet.model.spec import LabelClass
    from napari_micro_ktnet.training.process import Ending

Outcome = Done["Ending"] | Failed | Cancelled

# A run that begins holds no lock yet, so that another widget could not see it on the disk.
_followed: set[Path] = set()


def followed_runs() -> set[str]:
    """Names of the runs that widgets of this program follow now."""
    return {path.name for path in _followed}


class TrainSession:
    """Follow a run in the background.

    Parameters
    ----------
    viewer : ViewerModel
        Where the preview goes.
    training : Training
        The run.
    history : History
        Gets its events.
    classes : sequence of LabelClass
        Names and colours of the preview.
    """

    def __init__(
        self, viewer: ViewerModel, training: Training, history: History, classes: Sequence[LabelClass]
    ) -> None:
        self.training, self.history = training, history
        self.classes = tuple(classes)
        self.preview = Preview(viewer, training.path.name, classes)
        self.on_update: Callable[[Update], None] = lambda update: None
        self.on_end: Callable[[Outcome], None] = lambda outcome: None
        self.discarding = False
        self._job: Job[Update, Ending] = Job(training.steps, self._step, self._end)

    @property
    def name(self) -> str:
        """Of the run."""
        return self.training.path.name

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return self._job.running

    def start(self) -> None:
        """Begin."""
        _followed.add(self.training.path)
        self._job.start()

    def stop(self, *, discard: bool) -> None:
        """Let the run save its state and end; `discard`: the user does not want to go on with it."""
        self.discarding = discard
        self.training.stop()

    def abandon(self) -> None:
        """Look away: the run goes on, and nobody is told about it any more."""
        self.on_update = lambda update: None
        self.on_end = lambda outcome: None
        self._job.cancel()

    def _step(self, update: Update) -> None:
        self.history.add(update.events)
        if update.preview is not None:
            self.preview.show(*update.preview)
        self.on_update(update)

    def _end(self, outcome: Outcome) -> None:
        _followed.discard(self.training.path)
        if self.discarding:
            self.preview.remove()
        self.on_end(outcome)
