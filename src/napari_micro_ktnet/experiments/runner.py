"""Run an experiment: a generator that starts jobs, yields as they get on, and keeps the tables up to date."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.experiments.availability import why_not_available
from napari_micro_ktnet.experiments.checks import check_patterns, check_same_table, check_training
from napari_micro_ktnet.experiments.config import ExperimentConfig, config_text
from napari_micro_ktnet.experiments.data import ExperimentImages, Fold, load_images, make_folds
from napari_micro_ktnet.experiments.entries import Entry, make_entries, start_name
from napari_micro_ktnet.experiments.jobs import (
    RUN_FOLDER,
    Job,
    JobResult,
    make_jobs,
    write_job,
    write_result,
)
from napari_micro_ktnet.experiments.processes import JobProcess
from napari_micro_ktnet.experiments.record import done_before, make_record
from napari_micro_ktnet.experiments.reports import (
    EntryReport,
    ExperimentEnd,
    JobReport,
    Notice,
    ProgressReport,
    Report,
    Row,
)
from napari_micro_ktnet.experiments.table import make_rows
from napari_micro_ktnet.experiments.writing import to_csv, to_latex, to_markdown
from napari_micro_ktnet.files import check_writable, write_bytes
from napari_micro_ktnet.predict.device import gpu_count

CONFIG_FILE, RECORD_FILE, RUNS_FOLDER, FIGURES_FOLDER = "experiment.toml", "record.json", "runs", "figures"
CSV_FILE, MARKDOWN_FILE, LATEX_FILE = "results.csv", "results.md", "results.tex"
_POLL_S = 0.3
_NO_FIGURES = (
    "Figures are not drawn: matplotlib is not installed. Install it with: "
    'pip install "napari-micro-ktnet[experiments]", and run again with --resume, which trains nothing twice.'
)


def run_experiment(
    config: ExperimentConfig,
    output: str | Path,
    *,
    workers: int = 1,
    resume: bool = False,
    fetch_weights: bool = False,
) -> Iterator[Report]:
    """Train and score every entry of a table, yielding as they get on.

    Whenever the generator is closed, the tables in `output` hold what is done, and the rest can be resumed.

    Parameters
    ----------
    config : ExperimentConfig
        From `experiment_config`.
    output : path
        Folder of the tables; made if missing.
    workers : int
        Trainings side by side, each in a process of its own; with several GPUs, each on one of them.
    resume : bool
        Go on with the experiment in `output`: what was done with the same settings, images and weights is
        taken as it is, what was interrupted goes on, and what failed is tried again.
    fetch_weights : bool
        Fetch published weights that are not in the cache.

    Yields
    ------
    ProgressReport, JobReport, EntryReport, Notice
        `ExperimentEnd` at the end.

    Raises
    ------
    InputError
        There is an experiment in `output` already, or a setting cannot be used.
    DataError
        Images or masks cannot be used.
    """
    if workers < 1:
        raise InputError(f"There must be at least 1 worker, found {workers}.")
    output = Path(output)
    if resume:
        check_same_table(config, output / CONFIG_FILE)
    check_training(config.training)
    images = load_images(config.data)
    folds = make_folds(images, config)
    entries = make_entries(config, min(len(fold.training) for fold in folds))
    check_patterns(config, entries)
    if (output / RECORD_FILE).exists() and not resume:
        raise InputError(
            f"{output} holds an experiment already. Go on with it by --resume, or choose another folder."
        )
    check_writable(output)
    output.mkdir(parents=True, exist_ok=True)
    jobs = {e.name: make_jobs(e, config, images, folds, output / RUNS_FOLDER) for e in entries}
    experiment = _Experiment(config, output, workers, images, folds, entries, jobs)
    with _locked(output):
        yield from experiment.run(fetch_weights=fetch_weights)


@dataclass
class _Experiment:
    """One call of `run_experiment`."""

    config: ExperimentConfig
    output: Path
    workers: int
    images: ExperimentImages
    folds: tuple[Fold, ...]
    entries: tuple[Entry, ...]
    jobs: dict[str, tuple[Job, ...]]
    outcome: dict[str, JobResult] = field(default_factory=dict)
    waiting: list[Job] = field(default_factory=list)
    working: list[JobProcess] = field(default_factory=list)

    def run(self, *, fetch_weights: bool) -> Iterator[Report]:
        """Do what is not done."""
        write_bytes(self.output / CONFIG_FILE, config_text(self.config, self.output).encode())
        if find_spec("matplotlib") is None:
            yield Notice(_NO_FIGURES)
        before = done_before(self.output / RECORD_FILE)
        yield from self._plan(fetch_weights=fetch_weights)
        yield from self._tell_lost(before)
        self._write()
        gpus = gpu_count() if self.workers > 1 else 1
        try:
            while self.waiting or self.working:
                while self.waiting and len(self.working) < self.workers:
                    self._start(self.waiting.pop(0), gpus)
                for process in list(self.working):
                    yield from self._look(process)
                time.sleep(_POLL_S if self.working else 0)
        finally:
            for process in self.working:
                process.close()
        rows = self._write()
        written = (CSV_FILE, MARKDOWN_FILE, LATEX_FILE, RECORD_FILE, CONFIG_FILE)
        yield ExperimentEnd(rows, (*(self.output / name for name in written), *self._draw(rows)))

    def _plan(self, *, fetch_weights: bool) -> Iterator[Report]:
        """Take up what is done, and queue what is not."""
        for entry in self.entries:
            jobs = self.jobs[entry.name]
            found = {job.spec.key: r for job in jobs if (r := job.result()) is not None}
            if not _is_chosen(entry, self.config):
                self.outcome |= found
                continue
            self.outcome |= {key: result for key, result in found.items() if result.status == "done"}
            left = [job for job in jobs if job.spec.key not in self.outcome]
            reason = why_not_available(jobs[0].spec.training, fetch_weights=fetch_weights) if left else ""
            if reason:
                job = left[0]
                self._end(job, JobResult(key=job.spec.key, status="not available", reason=reason))
                yield JobReport(entry.name, job.spec.fold, job.seed, "not available", reason)
            else:
                self.waiting += left

    def _tell_lost(self, before: frozenset[str]) -> Iterator[Report]:
        """Say which rows of the table that is there lose their scores."""
        lost = [
            entry.name
            for entry in self.entries
            if entry.name in before and any(job.spec.key not in self.outcome for job in self.jobs[entry.name])
        ]
        gone = sorted(before - {entry.name for entry in self.entries})
        if lost or gone:
            yield Notice(
                "Settings, images or weights are others than those that the table was made with. Rows that "
                f"lose their scores: {', '.join([*lost, *gone])}. What was trained stays in {RUNS_FOLDER}; "
                "with the former settings it is taken up again."
            )

    def _start(self, job: Job, gpus: int) -> None:
        found = job.result()
        if found is not None:
            # It failed before: what it left may be why.
            shutil.rmtree(job.folder / RUN_FOLDER, ignore_errors=True)
        write_job(job)
        slot = min(set(range(self.workers)) - {process.slot for process in self.working})
        self.working.append(JobProcess(job, slot, self.workers, gpus))

    def _look(self, process: JobProcess) -> Iterator[Report]:
        before = process.step
        working = process.poll()
        job = process.job
        if process.step != before:
            yield ProgressReport(job.spec.entry, job.spec.fold, job.seed, *self._steps())
        if working:
            return
        self.working.remove(process)
        result = job.result()
        if result is None or result.status != "done":
            result = JobResult(key=job.spec.key, status="failed", reason=process.failure())
        self._end(job, result)
        yield JobReport(job.spec.entry, job.spec.fold, job.seed, result.status, result.reason)
        yield ProgressReport(job.spec.entry, job.spec.fold, job.seed, *self._steps())
        if not any(j.spec.entry == job.spec.entry for j in (*self.waiting, *(p.job for p in self.working))):
            rows = self._write()
            yield EntryReport(next(row for row in rows if row["entry"] == job.spec.entry))

    def _end(self, job: Job, result: JobResult) -> None:
        self.outcome[job.spec.key] = result
        if result.status != "done":
            write_result(job, result)
            # Without one of its folds an entry has no score: the others need not be trained.
            self.waiting = [j for j in self.waiting if j.spec.entry != job.spec.entry]

    def _steps(self) -> tuple[int, int]:
        done = sum(
            job.spec.training.steps
            for jobs in self.jobs.values()
            for job in jobs
            if (found := self.outcome.get(job.spec.key)) is not None and found.status == "done"
        )
        now = sum(process.step for process in self.working)
        left = sum(job.spec.training.steps for job in (*self.waiting, *(p.job for p in self.working)))
        return done + now, done + left

    def _write(self) -> tuple[Row, ...]:
        rows = make_rows(self.config, self.entries, self.jobs, self.outcome)
        labels = {e.name: e.label for e in self.entries}
        record = make_record(
            self.config, self.output, self.workers, self.folds, self.entries, self.jobs, self.outcome
        )
        for name, text in (
            (CSV_FILE, to_csv(rows)),
            (MARKDOWN_FILE, to_markdown(rows, labels, self._protocol())),
            (LATEX_FILE, to_latex(rows, labels)),
            (RECORD_FILE, record.model_dump_json(indent=1)),
        ):
            write_bytes(self.output / name, text.encode())
        return rows

    def _draw(self, rows: tuple[Row, ...]) -> tuple[Path, ...]:
        if find_spec("matplotlib") is None:
            return ()
        from napari_micro_ktnet.experiments.figures import Drawable, draw_figures

        done = [
            Drawable(entry, row, self.jobs[entry.name])
            for entry, row in zip(self.entries, rows, strict=True)
            if row["status"] == "done"
        ]
        return draw_figures(self.output / FIGURES_FOLDER, self.config, done, self.outcome, self.images)

    def _protocol(self) -> tuple[str, ...]:
        t, scored = self.config.training, self.images.test or self.images.pairs
        count, tested = len(scored), sum(bool(pair.labelled) for pair in scored)
        several = {"classes": len(self.images.classes) > 1, "seeds": len(self.config.seeds) > 1}
        averaged = " and ".join(name for name, there in several.items() if there)
        parts = (
            f"a fixed test set of {count} images"
            if self.images.test
            else f"{count} images, cross-validated by image in {len(self.folds)} folds"
        )
        return (
            f"IoU, F1, precision and recall are pooled over all pixels of all scored images ({parts}; "
            f"{len(self.config.seeds)} seed(s)){averaged and f', then averaged over {averaged}'}; mean IoU "
            "is the mean over images. In brackets: 95 % bootstrap interval over images, which does not hold "
            "the scatter of trainings.",
            "Difference: mean IoU minus that of the entry in bold; p: paired permutation test over "
            f"{tested} images with a class in the mask, which folds and seeds do not make more independent.",
            "Seconds were measured beside whatever else ran.",
            f"Protocol of all entries, unless the entry says otherwise: {t.architecture}, {t.encoder}, "
            f"start {start_name(t.init)}, "
            f"{t.steps} steps of {t.batch_size} crops of {t.crop} x {t.crop} pixels, model of the last step.",
        )


def _is_chosen(entry: Entry, config: ExperimentConfig) -> bool:
    return not config.only or any(fnmatchcase(entry.name, pattern) for pattern in config.only)


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    lock = FileLock(output / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"Another process runs the experiment in {output}. Wait for it, or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
