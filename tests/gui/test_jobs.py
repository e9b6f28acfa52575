"""A generator in a worker thread: everything arrives on the main thread, in order, once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from typing import Any

import pytest
from qtpy.QtWidgets import QApplication

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job


def start(steps: Any, qtbot: Any, during: Any = None) -> tuple[list[Any], list[Any]]:
    got: list[Any] = []
    ends: list[Any] = []
    main = threading.get_ident()

    def on_step(step: Any) -> None:
        assert threading.get_ident() == main
        got.append(step)
        if during is not None:
            during(job)

    job: Job[Any, Any] = Job(steps, on_step, ends.append)
    job.start()
    qtbot.waitUntil(lambda: bool(ends))
    qtbot.wait(20)
    assert not job.running
    return got, ends


def test_steps_and_result(qtbot: Any) -> None:
    worker: list[int] = []

    def count() -> Generator[int, None, str]:
        worker.append(threading.get_ident())
        yield 1
        yield 2
        return "end"

    assert start(count, qtbot) == ([1, 2], [Done("end")])
    assert worker != [threading.get_ident()]


@pytest.mark.parametrize("error", [RuntimeError("x"), ValueError("y"), OSError("z")])
@pytest.mark.parametrize("when", ["making", "running"])
def test_any_error_is_an_outcome(error: Exception, when: str, qtbot: Any) -> None:
    def broken() -> Generator[int, None, None]:
        if when == "making":
            raise error

        def steps() -> Generator[int, None, None]:
            yield 1
            raise error

        return steps()

    got, ends = start(broken, qtbot)
    assert ends == [Failed(error)]
    assert got == ([] if when == "making" else [1])


def test_cancel_closes_the_generator_and_drops_later_steps(qtbot: Any) -> None:
    closed = threading.Event()
    gate = threading.Semaphore(1)

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                assert gate.acquire(timeout=20)
                yield 1
        finally:
            closed.set()

    def stop(job: Job[Any, Any]) -> None:
        job.cancel()
        gate.release(2)

    got, ends = start(endless, qtbot, stop)
    assert (got, ends) == ([1], [Cancelled()])
    assert closed.is_set()


def test_steps_do_not_overtake_each_other(qtbot: Any) -> None:
    """A callback that handles events (as napari's progress bar does) must not be entered again."""
    depth = [0]

    def nested(job: Job[Any, Any]) -> None:
        depth[0] += 1
        assert depth[0] == 1
        for _ in range(5):
            QApplication.processEvents()
            threading.Event().wait(0.01)
        depth[0] -= 1

    got, ends = start(lambda: (n for n in range(3)), qtbot, nested)
    assert got == [0, 1, 2]
    assert ends == [Done(None)]


def test_only_our_warnings_reach_the_user(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("napari_micro_ktnet.gui.jobs.show_warning", shown.append)

    def noisy() -> Generator[int, None, None]:
        warnings.warn_explicit("old", DeprecationWarning, "x.py", 1, module="torch.library")
        warnings.warn_explicit(
            "memory ran out", UserWarning, "y.py", 1, module="napari_micro_ktnet.predict.inference"
        )
        yield 1

    start(noisy, qtbot)
    assert shown == ["memory ran out"]
