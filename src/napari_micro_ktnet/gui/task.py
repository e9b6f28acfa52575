"""A core generator at work in a viewer: the job, its progress in napari, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from napari.utils import progress

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job, Result, report_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Counted(Protocol):
    """A step that says how far the work is; 0 of 0 where that is not known."""

    @property
    def done(self) -> int:
        """What is done."""

    @property
    def total(self) -> int:
        """What there is to do."""


CountedStep = TypeVar("CountedStep", bound=Counted)


class Task(Generic[CountedStep, Result]):
    """Work in the background.

    Parameters
    ----------
    steps : callable
        Makes the generator; called in the worker.
    text : str
        Beside napari's progress bar.
    """

    def __init__(self, steps: Callable[[], Generator[CountedStep, None, Result]], text: str) -> None:
        self.on_step: Callable[[CountedStep], None] = lambda step: None
        self.on_end: Callable[[Done[Result] | Failed | Cancelled], None] = lambda outcome: None
        self._text = text
        self._bar: Any = None
        self._job: Job[CountedStep, Result] = Job(steps, self._step, self._end)

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return self._job.running

    def start(self) -> None:
        """Begin."""
        self._bar = progress(total=0, desc=self._text)
        self._job.start()

    def cancel(self) -> None:
        """Stop after the step at work."""
        self._job.cancel()

    def abandon(self) -> None:
        """Cancel, and tell nobody about it any more: the widget is gone."""
        self.on_step = lambda step: None
        self.on_end = lambda outcome: None
        self.cancel()

    def _step(self, step: CountedStep) -> None:
        if step.total:
            self._bar.total = step.total
            self._bar.update(step.done - self._bar.n)
        self.on_step(step)

    def _end(self, outcome: Done[Result] | Failed | Cancelled) -> None:
        self._bar.close()
        if isinstance(outcome, Failed):
            report_failure(outcome.error)
        self.on_end(outcome)
