"""``record.json``: what an experiment was, from which it can be run again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_micro_ktnet.experiments.config import ExperimentConfig, portable
from napari_micro_ktnet.experiments.data import Fold
from napari_micro_ktnet.experiments.entries import Entry
from napari_micro_ktnet.experiments.jobs import Job, JobResult
from napari_micro_ktnet.experiments.table import Outcome, entry_status

_PACKAGES = ("napari-micro-ktnet", "torch", "torchvision", "segmentation-models-pytorch", "numpy", "scipy")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FoldRecord(_Frozen):
    """Images of a fold: names and the SHA-256 of pixels and mask."""

    number: int
    training: dict[str, str]
    scored: dict[str, str]


class EntryRecord(_Frozen):
    """An entry and what became of it.

    Attributes
    ----------
    name, label, changes, images
        See `entries.Entry`.
    status, reason : str
        How it ended.
    jobs : tuple of str
        Folders in ``runs``.
    versions : dict of str to str
        What they were done with; several, with commas, where a job was done after an update.
    """

    name: str
    label: str
    changes: dict[str, Any]
    images: int | None
    status: str
    reason: str
    jobs: tuple[str, ...]
    versions: dict[str, str] = Field(default_factory=dict)


class ExperimentRecord(_Frozen):
    """Contents of ``record.json``.

    Attributes
    ----------
    config : dict
        An `ExperimentConfig` with folders relative to this file; ``--config record.json`` takes it again.
    workers : int
        Processes side by side.
    machine, versions : dict
        What it ran on when this was written; what a row was done with is in its entry.
    folds, entries
        Who trained on which, and how it ended.
    """

    schema_version: Literal[1] = 1
    config: dict[str, Any]
    workers: int
    machine: dict[str, Any]
    versions: dict[str, str]
    folds: tuple[FoldRecord, ...]
    entries: tuple[EntryRecord, ...]


def make_record(
    config: ExperimentConfig,
    output: Path,
    workers: int,
    folds: Sequence[Fold],
    entries: Sequence[Entry],
    jobs: Mapping[str, Sequence[Job]],
    outcome: Outcome,
) -> ExperimentRecord:
    """Put the record of an experiment together.

    Parameters
    ----------
    config, output, workers
        What was asked for, and the folder of the record.
    folds, entries, jobs, outcome
        As for `table.make_rows`.
    """
    devices = sorted({r.device for r in outcome.values() if r.device})
    threads = sorted({r.threads for r in outcome.values() if r.threads})
    return ExperimentRecord(
        config=portable(config, output),
        workers=workers,
        machine={
            "system": platform.system(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "devices": devices,
            "threads_of_a_worker": threads,
        },
        versions=versions(),
        folds=tuple(
            FoldRecord(
                number=fold.number,
                training={p.name: p.digest for p in fold.training},
                scored={p.name: p.digest for p in fold.scored},
            )
            for fold in folds
        ),
        entries=tuple(_entry_record(e, jobs[e.name], outcome, config) for e in entries),
    )


def _entry_record(
    entry: Entry, jobs: Sequence[Job], outcome: Outcome, config: ExperimentConfig
) -> EntryRecord:
    status, reason = entry_status(jobs, outcome)
    # A path of this machine says nothing elsewhere; the configuration has it relative to the record.
    changes = {k: v for k, v in entry.changes.items() if k != "init" or v != config.training.init}
    return EntryRecord(
        name=entry.name,
        label=entry.label,
        changes=changes,
        images=entry.images,
        status=status,
        reason=reason,
        jobs=tuple(job.folder.name for job in jobs),
        versions=_versions_of([r for job in jobs if (r := outcome.get(job.spec.key)) is not None]),
    )


def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def _versions_of(results: Sequence[JobResult]) -> dict[str, str]:
    names = dict.fromkeys(name for result in results for name in result.versions)
    return {
        name: ", ".join(sorted({r.versions[name] for r in results if name in r.versions})) for name in names
    }


def done_before(path: Path) -> frozenset[str]:
    """Names of the entries that a record says were done; none where there is no record."""
    try:
        found = ExperimentRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return frozenset()
    return frozenset(entry.name for entry in found.entries if entry.status == "done")
