"""The training loop: a generator that yields after every step and every validation."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from napari_micro_ktnet.errors import DataError, MicroKTNetError, TrainingError
from napari_micro_ktnet.measurement.scores import PixelScores
from napari_micro_ktnet.model.checkpoint import HistoryEntry, save_checkpoint
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.training.config import TrainingConfig, without_folders
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.manifest import describe_difference, make_manifest
from napari_micro_ktnet.training.prior import correct_file
from napari_micro_ktnet.training.reports import (
    EndReason,
    EndReport,
    Notice,
    Report,
    StepReport,
    ValidationReport,
)
from napari_micro_ktnet.training.run import MODEL_FILE, Run
from napari_micro_ktnet.training.run_config import RunConfig
from napari_micro_ktnet.training.start import start_network
from napari_micro_ktnet.training.state import Progress, read_state, save_state
from napari_micro_ktnet.training.trainer import Trainer, make_fabric
from napari_micro_ktnet.training.validation import Validation, validate, write_preview


def iter_train(
    training: Sequence[ImagePair],
    validation: Sequence[ImagePair],
    output: str | Path,
    config: TrainingConfig | RunConfig,
) -> Iterator[Report]:
    """Begin a training run, yielding after every step and every validation.

    The best model by pooled validation IoU (mean over classes) is kept in
    ``output/model.safetensors``; it is usable, and the run can be resumed, whenever the generator is
    closed.

    Parameters
    ----------
    training, validation : sequence of ImagePair
        Annotated images; validation images are never trained on.
    output : path
        Run directory; made if missing.
    config : TrainingConfig or RunConfig
        All settings; with a RunConfig the run also records where its images lie.

    Raises
    ------
    DataError
        Images or masks cannot be used.
    InputError
        The directory holds a run already, or files that it would write over.
    TrainingError
        The loss is no longer a number, or memory does not suffice.
    OutputError
        The directory cannot be written, or the disk is full: the run can be resumed.
    """
    if isinstance(config, TrainingConfig):
        config = RunConfig(training=config)
    if not validation:
        raise DataError("There is no validation image. Hold some annotated images back from training.")
    fabric = make_fabric(config.training)
    fabric.launch()
    trainer = _trainer(fabric, training, config.training)
    if fabric.is_global_zero:
        Run.create(output, config, make_manifest(training, validation))
    fabric.barrier()
    yield from _iterate(Run(output), trainer, training, validation)


def iter_resume(run: Run, training: Sequence[ImagePair], validation: Sequence[ImagePair]) -> Iterator[Report]:
    """Go on with a run from its last saved state; as `iter_train`.

    On the CPU, with the same number of threads, the weights become those of a run that was never
    interrupted.

    Parameters
    ----------
    run : Run
        Stopped, interrupted or failed.
    training, validation : sequence of ImagePair
        The images that it began with.

    Raises
    ------
    TrainingError
        The images are not those that the run began with, or its state is corrupt.
    """
    difference = describe_difference(run.manifest, make_manifest(training, validation))
    if difference:
        raise TrainingError(
            f"The images are not those that the run {run.path} began with ({difference}). "
            f"Restore them, or begin a new run with --init {run.model_file}"
        )
    fabric = make_fabric(run.config.training)
    fabric.launch()
    yield from _iterate(run, _trainer(fabric, training, run.config.training), training, validation)


def train(
    training: Sequence[ImagePair],
    validation: Sequence[ImagePair],
    output: str | Path,
    config: TrainingConfig,
) -> Path:
    """Train a model; see `iter_train`.

    Returns
    -------
    Path
        The best model, ``output/model.safetensors``.
    """
    for _ in iter_train(training, validation, output, config):
        pass
    return Path(output) / MODEL_FILE


def _trainer(fabric: Fabric, training: Sequence[ImagePair], config: TrainingConfig) -> Trainer:
    network, spec = start_network(config, training)
    return Trainer(fabric, network, spec, config, CropSampler(training, spec.normalization, config))


def _iterate(
    run: Run, trainer: Trainer, training: Sequence[ImagePair], validation: Sequence[ImagePair]
) -> Iterator[Report]:
    first = trainer.fabric.is_global_zero
    with run.locked() if first else nullcontext():
        loop = _Loop(run, trainer, training, validation)
        try:
            yield from loop.run_steps()
        except MicroKTNetError as error:
            if first:
                run.log("failed", step=loop.progress.step, reason=str(error))
            raise


class _Loop:
    """One run, from its last state to its end."""

    def __init__(
        self,
        run: Run,
        trainer: Trainer,
        training: Sequence[ImagePair],
        validation: Sequence[ImagePair],
    ) -> None:
        self.run, self.trainer, self.config = run, trainer, trainer.config
        self.fabric, self.first = trainer.fabric, trainer.fabric.is_global_zero
        self.training, self.validation = training, validation
        self.progress = Progress(batch_size=self.config.batch_size)
        if run.state_file.exists():
            tensors, self.progress = read_state(run.state_file)
            trainer.restore(tensors)
            trainer.batch_size = self.progress.batch_size
        # No process may go on before all have read the state.
        self.fabric.barrier()
        self.saved = self.progress.step

    def run_steps(self) -> Iterator[Report]:
        """Take the steps that are left."""
        if self.first:
            self.run.forget_after(self.progress.step)
            who = {"pid": os.getpid(), "host": platform.node()}
            self.run.log("started", step=self.progress.step, steps=self.config.steps, **who)
        reason: EndReason = "finished"
        try:
            while True:
                if self._validation_is_due():
                    yield self._validate()
                    if self.config.patience and self.progress.since_best >= self.config.patience:
                        reason = "no improvement"
                        break
                elif self.progress.step - self.saved >= self.config.save_every:
                    self._save()
                if self.progress.step >= self.config.steps:
                    break
                if self.fabric.broadcast(self.run.stop_requested()):
                    reason = "stopped"
                    break
                yield from self._step()
        except GeneratorExit:
            # Whoever closes the generator does so between two steps: the state is whole.
            self._end("stopped")
            raise
        if self.first and self.run.model_file.exists() and any(pair.sparse for pair in self.training):
            yield from self._correct()
        self._end(reason)
        yield EndReport(self.progress.step, self.config.steps, reason, self.run.model_file)

    def _step(self) -> Iterator[Report]:
        step, planned = self.progress.step + 1, self.progress.batch_size
        loss, batch_size = self.trainer.step(step)
        self.progress = self.progress.model_copy(
            update={"step": step, "batch_size": batch_size, "losses": (*self.progress.losses, loss)}
        )
        if self.first:
            self.run.log("step", step=step, loss=loss)
        if batch_size != planned:
            text = f"Memory ran out: from step {step} on, {batch_size} crops a step instead of {planned}."
            if self.first:
                self.run.log("notice", step=step, text=text)
            yield Notice(text)
        yield StepReport(step, self.config.steps, loss)

    def _validation_is_due(self) -> bool:
        step = self.progress.step
        # A validation forgets the losses: without any, this one was done before the run was resumed.
        return bool(self.progress.losses) and (
            step % self.config.validate_every == 0 or step == self.config.steps
        )

    def _validate(self) -> ValidationReport:
        trainer = self.trainer
        result = validate(
            self.fabric, Model("in training", trainer.averaged, trainer.spec), self.validation, self.config
        )
        score = _mean_iou(result.pooled)
        best = score > self.progress.best
        progress = self.progress
        self.progress = progress.model_copy(
            update={
                "best": max(score, progress.best),
                "since_best": 0 if best else progress.since_best + 1,
                "losses": (),
            }
        )
        report = ValidationReport(
            progress.step,
            self.config.steps,
            float(np.mean(progress.losses)),
            result.loss,
            result.pooled,
            result.per_image,
            best,
        )
        if self.first:
            if best:
                self._save_model(result.pooled)
            self._record(report, score, result)
        self._save()
        return report

    def _record(self, report: ValidationReport, score: float, result: Validation) -> None:
        names = [c.name for c in self.config.classes]
        ious = {f"iou_{n}": _number(s.iou) for n, s in zip(names, report.pooled, strict=True)}
        losses = {"training_loss": report.training_loss, "validation_loss": report.loss}
        write_preview(self.run.path, self.validation, result)
        self.run.append_metrics(
            {"step": report.step, **losses, "iou": score, **ious, "best": int(report.best)}
        )
        self.run.log("validation", step=report.step, score=score, **losses, **ious, best=report.best)

    def _save(self) -> None:
        self.saved = self.progress.step
        if self.first:
            save_state(self.run.state_file, self.trainer.tensors(), self.progress)
        self.fabric.barrier()

    def _save_model(self, pooled: Sequence[PixelScores]) -> None:
        config = self.config.model_copy(update={"init": without_folders(self.config.init)})
        details = {
            "config": config.model_dump(mode="json"),
            "step": self.progress.step,
            "training_images": [p.name for p in self.training[:1000]],
            "validation_images": [p.name for p in self.validation],
            "validation_pooled_iou": {
                c.name: _number(s.iou) for c, s in zip(self.config.classes, pooled, strict=False)
            },
        }
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = HistoryEntry(what="trained", when=when, details=details)
        save_checkpoint(self.run.model_file, self.trainer.averaged, self.trainer.spec, (entry,))

    def _correct(self) -> Iterator[Report]:
        """Fit the model to the shares that the classes have beside the strokes."""
        where = {"device": str(self.fabric.device), "precision": self.config.precision}
        found = correct_file(self.run.model_file, self.training, **where)
        if found is None:
            return
        text = found.text([entry.name for entry in self.config.classes])
        self.run.log("notice", step=self.progress.step, text=text)
        yield Notice(text)

    def _end(self, reason: EndReason) -> None:
        if self.progress.step > self.saved or not self.run.state_file.exists():
            self._save()
        if not self.first:
            return
        if not self.run.model_file.exists():
            # Stopped before the first validation: what there is can still be looked at.
            self._save_model(())
        self.run.log("end", step=self.progress.step, reason=reason)


def _mean_iou(pooled: Sequence[PixelScores]) -> float:
    """Mean over the classes that occur; 0 where none does."""
    known = [s.iou for s in pooled if not math.isnan(s.iou)]
    return float(np.mean(known)) if known else 0.0


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
