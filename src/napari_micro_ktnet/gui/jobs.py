"""Run a core generator in a napari thread worker: steps, cancel and the end arrive on the main thread."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from napari.qt.threading import create_worker
from napari.utils.notifications import notification_manager, show_error, show_warning

from napari_micro_ktnet.errors import MicroKTNetError

Step = TypeVar("Step")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Result]):
    """The generator came to its end.

    Attributes
    ----------
    value
        What it returned.
    """

    value: Result


@dataclass(frozen=True)
class Failed:
    """The generator raised.

    Attributes
    ----------
    error : Exception
        What it raised.
    """

    error: Exception


@dataclass(frozen=True)
class Cancelled:
    """The generator was closed between two steps."""


class Job(Generic[Step, Result]):
    """A generator at work in a thread.

    Parameters
    ----------
    steps : callable
        Makes the generator. It is called, and runs, in the worker thread, so slow imports belong
        into it.
    on_step : callable
        Takes what the generator yields; called on the main thread.
    on_end : callable
        Takes `Done`, `Failed` or `Cancelled`; called on the main thread, exactly once.
    """

    def __init__(
        self,
        steps: Callable[[], Generator[Step, None, Result]],
        on_step: Callable[[Step], None],
        on_end: Callable[[Done[Result] | Failed | Cancelled], None],
    ) -> None:
        self._steps = steps
        self._on_step = on_step
        self._on_end = on_end
        self._outcome: Done[Result] | Failed | Cancelled = Cancelled()
        self._cancelled = False
        self._ended = False
        self._generator: Generator[Step, None, Result] | None = None
        self._inbox: deque[Callable[[], None]] = deque()
        self._delivering = False
        self._worker = create_worker(self._work, _start_thread=False)
        self._worker.yielded.connect(self._step)
        self._worker.returned.connect(self._returned)
        self._worker.finished.connect(self._finished)
        self._worker.warned.connect(lambda warning: show_warning(str(warning[0])))

    @property
    def running(self) -> bool:
        """Whether `on_end` is still to come."""
        return not self._ended

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    def cancel(self) -> None:
        """Stop after the step that is at work now; steps already under way to the main thread are dropped."""
        self._cancelled = True

    def _work(self) -> Generator[Step, None, Done[Result] | Failed | Cancelled]:
        # The worker hands on every warning of every library: only ours are for the user.
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module=r"napari_micro_ktnet\b")
        try:
            steps = self._generator = self._steps()
        except Exception as error:  # noqa: BLE001 - shown or raised by report_failure
            return Failed(error)
        try:
            while not self._cancelled:
                yield next(steps)
        except StopIteration as stop:
            return Done(stop.value)
        except Exception as error:  # noqa: BLE001 - a RuntimeError that leaves the worker would end it silently
            return Failed(error)
        finally:
            steps.close()
        return Cancelled()

    def _step(self, step: Step) -> None:
        self._deliver(lambda: None if self._cancelled else self._on_step(step))

    def _returned(self, outcome: Done[Result] | Failed | Cancelled) -> None:
        self._outcome = outcome

    def _finished(self) -> None:
        # napari makes workers quit when it closes, and a worker that quits leaves its generator as it is.
        if self._generator is not None:
            self._generator.close()
        self._deliver(self._end)

    def _end(self) -> None:
        self._ended = True
        # A result that comes after Cancel was pressed is not what the user asked for.
        self._on_end(Cancelled() if self._cancelled else self._outcome)

    def _deliver(self, call: Callable[[], None]) -> None:
        """Call one after the other, although napari's progress bar handles events within a call."""
        self._inbox.append(call)
        if self._delivering:
            return
        self._delivering = True
        while self._inbox:
            try:
                self._inbox.popleft()()
            except Exception as error:  # noqa: BLE001 - reported, and the end must still arrive
                report_failure(error)
        self._delivering = False


def report_failure(error: Exception) -> None:
    """Show an error of this package as one sentence; hand any other to napari, with its traceback."""
    if isinstance(error, MicroKTNetError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
