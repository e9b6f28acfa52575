"""A training run on the terminal: bars, scores, and an interrupt that loses nothing."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_micro_ktnet.training.reports import EndReport, Notice, Report, StepReport, ValidationReport
from napari_micro_ktnet.training.run import RUN_FILE, Run

if TYPE_CHECKING:
    from napari_micro_ktnet.training.sources import TrainingData

STOPPED = 130
"""Exit code of what was asked to stop, as shells give it for an interrupt."""

# Set by the launchers of several processes for all but the first of them.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def _is_leader() -> bool:
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def follow(
    reports: Iterable[Report],
    directory: Path,
    data: TrainingData,
    name: str | None,
    steps: int,
    done: int = 0,
) -> int:
    """Show the progress of a run to its end.

    Parameters
    ----------
    reports : iterable of Report
        Of the run.
    directory : Path
        The run.
    data : TrainingData
        What it trains on.
    name : str, optional
        Name for the list of models.
    steps, done : int
        Steps planned, and done already.

    Returns
    -------
    int
        Exit code: 130 where the run was asked to stop before its end.
    """
    # It announces on standard error which precision it uses.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if not _is_leader():
        with _stopping_politely(directory):
            for _ in reports:
                pass
        return 0
    for warning in data.split.warnings:
        print(f"micro-ktnet: {warning}", file=sys.stderr)
    print(f"Validation: {', '.join(pair.name for pair in data.split.validation)}")
    end = None
    with (
        _stopping_politely(directory),
        tqdm(total=steps, initial=done, desc="training", unit="step", disable=None) as bar,
    ):
        for report in _noting(reports, directory, data.split.warnings if not done else ()):
            if isinstance(report, StepReport):
                bar.update()
                bar.set_postfix_str(f"loss {report.loss:.4f}")
            elif isinstance(report, ValidationReport):
                scores = ", ".join(
                    f"{c.name} {s.iou:.3f}" for c, s in zip(data.classes, report.pooled, strict=True)
                )
                tqdm.write(
                    f"step {report.step}: validation loss {report.loss:.4f}, "
                    f"IoU (pooled over images) {scores}" + ("  best so far, saved" if report.best else "")
                )
            elif isinstance(report, Notice):
                tqdm.write(report.text)
            elif isinstance(report, EndReport):
                end = report
    assert end is not None  # noqa: S101 - the generator ends with a report or an error
    return _conclude(end, name, Run(directory).summary().best)


def _noting(reports: Iterable[Report], directory: Path, warnings: Iterable[str]) -> Iterator[Report]:
    """Write warnings about the data to the run as well, once it exists, for whoever watches it."""
    for number, report in enumerate(reports):
        if number == 0:
            for warning in warnings:
                Run(directory).log("notice", step=0, text=warning)
        yield report


def _conclude(end: EndReport, name: str | None, best: float) -> int:
    from napari_micro_ktnet.model.registry import add_model

    if end.reason == "stopped":
        print(
            f"Stopped at step {end.step} of {end.steps}. Go on with: micro-ktnet resume {end.model.parent}"
            + (f" --name {name}" if name else "")
        )
        if math.isnan(best):
            print(f"{end.model} is the model as it was then; no validation says how good it is.")
        else:
            print(f"The best model until then is {end.model}: IoU {best:.3f} in validation.")
        return STOPPED
    if end.reason == "no improvement":
        print(f"Ended at step {end.step}: validation no longer got better.")
    if name:
        print(f"Added to the list of models: {add_model(end.model, name).name}")
    print(
        f"The best model is {end.model}. Use it with: micro-ktnet segment INPUT --output DIR "
        f"--model {name or end.model}"
    )
    return 0


@contextmanager
def _stopping_politely(directory: Path) -> Iterator[None]:
    """Let the first interrupt save the state; the second ends at once, losing little."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def stop(number: int, _: object) -> None:
        nonlocal asked
        if asked or not (directory / RUN_FILE).is_file():
            raise KeyboardInterrupt
        asked = True
        if _is_leader():
            print("micro-ktnet: stopping after this step. Once more ends at once.", file=sys.stderr)
            Run(directory).request_stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
