"""Jobs: one training of an entry, with what it needs and what came out, as files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_micro_ktnet.experiments.config import ExperimentConfig, ExperimentData
from napari_micro_ktnet.experiments.data import ExperimentImages, Fold, some_of
from napari_micro_ktnet.experiments.entries import Entry
from napari_micro_ktnet.files import file_sha256, write_bytes
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import ImagePair

JOB_FILE, RESULT_FILE, RUN_FOLDER, LABELS_FOLDER = "job.json", "result.json", "run", "labels"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageReference(_Frozen):
    """An image by name and content."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class JobSpec(_Frozen):
    """Contents of ``job.json``: all that a process needs to do the job.

    Attributes
    ----------
    entry : str
        Name of the entry.
    fold : int
        Which part of the images is scored.
    training : TrainingConfig
        Complete settings, seed and classes included.
    data : ExperimentData
        With absolute folders.
    training_images, scored_images : tuple of ImageReference
        In their order.
    weights_sha256 : str
        Of a start that is a file.
    """

    schema_version: Literal[1] = 1
    entry: str
    fold: int
    training: TrainingConfig
    data: ExperimentData
    training_images: tuple[ImageReference, ...]
    scored_images: tuple[ImageReference, ...]
    weights_sha256: str = ""

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the numbers: settings, images in their order, weights."""
        content = self.model_dump(mode="json", exclude={"data", "entry"})
        # Where it is computed may change the last digits, not what is asked for.
        del content["training"]["device"]
        if self.weights_sha256:
            del content["training"]["init"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class ScoredImage(_Frozen):
    """One image that a job scored.

    Attributes
    ----------
    name : str
        Of the image.
    confusion : tuple of tuple of int
        Pixels by true (row) and predicted (column) class, matrix first.
    seconds : float
        To segment it.
    """

    name: str
    confusion: tuple[tuple[int, ...], ...]
    seconds: float


class CurvePoint(_Frozen):
    """Pooled scores of the scored images during training, mean over classes; for looking at only."""

    step: int
    iou: float
    f1: float


class JobResult(_Frozen):
    """Contents of ``result.json``.

    Attributes
    ----------
    key : str
        Of the job that it is the result of.
    status : {"done", "failed", "not available"}
        How it ended.
    reason : str
        Why it is not done.
    images : tuple of ScoredImage
        In the order of the job.
    curve : tuple of CurvePoint
        One for each validation.
    parameters, flops : int
        See `model.cost.NetworkCost`.
    memory_bytes : int
        Peak of the process that trained and predicted, or of the GPU; 0 where unknown.
    seconds_per_step : float, optional
        Median.
    device : str
        What it ran on.
    threads : int
        Processor threads that it used.
    versions : dict of str to str
        Of Python and of the packages that decide the numbers, where the job was done.
    """

    schema_version: Literal[1] = 1
    key: str
    status: Literal["done", "failed", "not available"]
    reason: str = ""
    images: tuple[ScoredImage, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    parameters: int = 0
    flops: int = 0
    memory_bytes: int = 0
    seconds_per_step: float | None = None
    device: str = ""
    threads: int = 0
    versions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job and its place on disk.

    Attributes
    ----------
    spec : JobSpec
        What to do.
    folder : Path
        Where; it is named after what decides the numbers, so that other settings get another folder.
    """

    spec: JobSpec
    folder: Path

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.spec.training.seed

    def result(self) -> JobResult | None:
        """Read what came out, if the job was done here; a damaged or foreign result counts as none."""
        try:
            found = JobResult.model_validate_json((self.folder / RESULT_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return found if found.key == self.spec.key else None


def make_jobs(
    entry: Entry, config: ExperimentConfig, images: ExperimentImages, folds: Sequence[Fold], runs: Path
) -> tuple[Job, ...]:
    """Give the trainings of an entry: one for each fold and seed.

    Parameters
    ----------
    entry : Entry
        What to train.
    config : ExperimentConfig
        The protocol.
    images, folds
        From `data.load_images` and `data.make_folds`.
    runs : Path
        Folder of the jobs' folders.
    """
    jobs = []
    for seed in config.seeds:
        training = entry.training(config, seed).model_copy(update={"classes": images.classes})
        init = Path(training.init)
        digest = file_sha256(init) if init.is_file() else ""
        for fold in folds:
            spec = JobSpec(
                entry=entry.name,
                fold=fold.number,
                training=training,
                data=_absolute(config.data),
                training_images=_references(some_of(fold.training, entry.images, seed, fold.number)),
                scored_images=_references(fold.scored),
                weights_sha256=digest,
            )
            name = f"{entry.name}-fold{fold.number}-seed{seed}-{spec.key[:10]}"
            jobs.append(Job(spec, runs / name))
    return tuple(jobs)


def read_job(folder: Path) -> Job:
    """Read the job of a folder."""
    return Job(JobSpec.model_validate_json((folder / JOB_FILE).read_bytes()), folder)


def write_job(job: Job) -> None:
    """Write the job into its folder.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    write_bytes(job.folder / JOB_FILE, job.spec.model_dump_json(indent=1).encode())


def write_result(job: Job, result: JobResult) -> None:
    """Write the result into the folder of its job.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    write_bytes(job.folder / RESULT_FILE, result.model_dump_json(indent=1).encode())


def _references(pairs: Sequence[ImagePair]) -> tuple[ImageReference, ...]:
    return tuple(ImageReference(name=p.name, sha256=p.digest) for p in pairs)


def _absolute(data: ExperimentData) -> ExperimentData:
    names = ("images", "masks", "test_images", "test_masks")
    return data.model_copy(update={n: v.absolute() for n in names if (v := getattr(data, n)) is not None})
