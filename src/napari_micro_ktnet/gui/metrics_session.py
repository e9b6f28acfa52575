"""One comparison in a viewer: the job, its progress, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils import progress

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job, report_failure
from napari_micro_ktnet.gui.metrics_run import Comparison, FoldersRequest, LayersRequest, Step, compare_steps

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome = Done[Comparison] | Failed | Cancelled


class MetricsSession:
    """Compare in the background.

    Parameters
    ----------
    request : LayersRequest or FoldersRequest
        What to do.
    """

    def __init__(self, request: LayersRequest | FoldersRequest) -> None:
        self.on_step: Callable[[Step], None] = lambda step: None
        self.on_end: Callable[[Outcome], None] = lambda outcome: None
        self._bar: Any = None
        self._job: Job[Step, Comparison] = Job(lambda: compare_steps(request), self._step, self._end)

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return self._job.running

    def start(self) -> None:
        """Begin."""
        self._bar = progress(total=0, desc="Compare with the truth")
        self._job.start()

    def cancel(self) -> None:
        """Stop after the image at work."""
        self._job.cancel()

    def abandon(self) -> None:
        """Cancel, and tell nobody about it any more: the widget is gone."""
        self.on_step = lambda step: None
        self.on_end = lambda outcome: None
        self.cancel()

    def _step(self, step: Step) -> None:
        if step.total:
            self._bar.total = step.total
            self._bar.update(step.done - self._bar.n)
        self.on_step(step)

    def _end(self, outcome: Outcome) -> None:
        self._bar.close()
        if isinstance(outcome, Failed):
            report_failure(outcome.error)
        self.on_end(outcome)
