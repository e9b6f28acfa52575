"""What the batch tab of the Agglomerates widget asks for, apart from Qt: request, steps, what comes back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.agglomerates.run import Options
from napari_micro_ktnet.gui.torch_guard import import_prediction

if TYPE_CHECKING:
    from napari_micro_ktnet.batch.lot import BatchResult
    from napari_micro_ktnet.measurement.limits import Limits


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """What a user asks for by pressing Run.

    Attributes
    ----------
    folder, output : Path
        Where images are, and where results go.
    model : str
        Name or path.
    threshold : float
        0 to 1.
    device : str
        See `napari_micro_ktnet.segment`.
    options : Options
        How to measure.
    pixel_size : float or None
        nm, where a file does not say it.
    limits : Limits or None
        To judge the lot by.
    report : bool
        Write ``report.html``, too.
    lot, operator : str
        For record and report.
    earlier : tuple of Path
        JSON files of earlier lots, for the report.
    """

    folder: Path
    output: Path
    model: str = "starter"
    threshold: float = 0.5
    device: str = "auto"
    options: Options = field(default_factory=Options)
    pixel_size: float | None = None
    limits: Limits | None = None
    report: bool = True
    lot: str = ""
    operator: str = ""
    earlier: tuple[Path, ...] = ()


@dataclass(frozen=True)
class BatchStep:
    """So far `done` of `total` files are finished; 0 of 0 before the files are known.

    Attributes
    ----------
    done, total : int
        Files.
    text : str
        What is at work.
    error : str
        Why a file failed that has just been tried; empty for any other step.
    reused : int
        Finished files that an earlier run had done.
    """

    done: int
    total: int
    text: str = ""
    error: str = ""
    reused: int = 0


@dataclass(frozen=True, eq=False)
class BatchOutcome:
    """A finished batch.

    Attributes
    ----------
    result : BatchResult
        Figures, errors, files that were written.
    report : Path or None
        The report, where one was asked for and something was measured.
    """

    result: BatchResult
    report: Path | None


def batch_steps(request: BatchRequest) -> Generator[BatchStep, None, BatchOutcome]:
    """Drive `iter_batch`; yields before anything is loaded, and after every tile and file.

    Raises
    ------
    MicroKTNetError
        As `iter_batch` and `write_batch_report` do; what fails with one file is told in a step instead.
    """
    yield BatchStep(0, 0, "Loading…")
    # Nothing that loads torch may come before it.
    import_prediction()
    from napari_micro_ktnet.batch.job import make_job
    from napari_micro_ktnet.batch.lot import BatchResult, iter_batch, plan_batch
    from napari_micro_ktnet.batch.measuring import FileOutcome
    from napari_micro_ktnet.batch.writing import OutputOptions

    _check_earlier(request)
    job = make_job(
        request.output,
        request.model,
        OutputOptions(request.threshold),
        request.options.core(),
        request.pixel_size,
        device=request.device,
    )
    files = plan_batch([request.folder])
    done, reused = 0, 0
    steps = iter_batch(files, job, request.limits, lot=request.lot, operator=request.operator)
    for step in steps:
        if isinstance(step, BatchResult):
            return (yield from _finish(step, request, done))
        name = step.file.path.name
        if isinstance(step, FileOutcome):
            done, reused = done + 1, reused + step.reused
            yield BatchStep(done, len(files), name, step.error, reused)
        else:
            text = f"{name}: tile {step.tile.done} of {step.tile.total}"
            yield BatchStep(done, len(files), text, reused=reused)
    raise AssertionError("iter_batch ends with a result")


def _check_earlier(request: BatchRequest) -> None:
    if request.report and request.earlier:
        from napari_micro_ktnet.report.trend import read_lots

        # A wrong file should be known before hours of work, not after.
        read_lots(request.earlier)


def _finish(
    result: BatchResult, request: BatchRequest, done: int
) -> Generator[BatchStep, None, BatchOutcome]:
    # One of an earlier run would contradict the new figures.
    wanted = request.report or result.report.exists()
    if not wanted or result.measurement is None:
        return BatchOutcome(result, None)
    from napari_micro_ktnet.report.of_batch import write_batch_report

    yield BatchStep(done, done, "Writing the report…")
    return BatchOutcome(result, write_batch_report(result, earlier=request.earlier))
