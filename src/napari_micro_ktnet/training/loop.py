"""The training loop: a generator that yields after every step and every validation."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_micro_ktnet.errors import DataError, TrainingError
from napari_micro_ktnet.measurement.scores import PixelScores, confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.checkpoint import HistoryEntry, save_checkpoint
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.model.spec import ModelSpec
from napari_micro_ktnet.predict.device import autocast_dtype, pick_device
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.predict.runner import normalise
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.losses import IGNORE, segmentation_loss
from napari_micro_ktnet.training.precision import depthwise_in_float32
from napari_micro_ktnet.training.start import encoder_of, start_network

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class StepReport:
    """One optimiser step is done.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    loss : float
        Training loss of this step.
    """

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class ValidationReport:
    """One validation is done.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    pooled : tuple of PixelScores
        Of every class besides matrix, from one confusion matrix over all validation images.
    per_image : tuple of tuple of PixelScores
        The same for each image, in the order given.
    best : bool
        Whether the mean IoU over classes (pooled) is the best so far; that model was saved.
    """

    step: int
    steps: int
    pooled: tuple[PixelScores, ...]
    per_image: tuple[tuple[PixelScores, ...], ...]
    best: bool


def evaluate_pairs(
    model: Model, pairs: Sequence[ImagePair], *, device: str = "auto", precision: str = "auto"
) -> tuple[tuple[PixelScores, ...], tuple[tuple[PixelScores, ...], ...]]:
    """Score a model on annotated images at threshold 0.5.

    Parameters
    ----------
    model : Model
        The model to score.
    pairs : sequence of ImagePair
        Not annotated pixels are left out.

    Returns
    -------
    pooled : tuple of PixelScores
        Of every class besides matrix, from one confusion matrix over all images.
    per_image : tuple of tuple of PixelScores
        The same for each image.
    """
    classes = len(model.spec.classes) + 1
    matrices = []
    for pair in pairs:
        ignore = pair.mask == IGNORE
        labels = segment(
            SEMImage(pair.pixels), model, region=~ignore, device=device, precision=precision
        ).labels()
        matrices.append(confusion_matrix(labels, pair.mask, classes, ignore))
    return scores_from_confusion(np.sum(matrices, axis=0)), tuple(map(scores_from_confusion, matrices))


def iter_train(
    training: Sequence[ImagePair],
    validation: Sequence[ImagePair],
    output: str | Path,
    config: TrainingConfig,
) -> Iterator[StepReport | ValidationReport]:
    """Train a model, yielding after every step and every validation.

    The best model by pooled validation IoU (mean over classes) is kept in
    ``output/model.safetensors``; it is usable whenever the generator is closed.

    Parameters
    ----------
    training, validation : sequence of ImagePair
        Annotated images; validation images are never trained on.
    output : path
        Folder for the model; made if missing.
    config : TrainingConfig
        All settings.

    Raises
    ------
    DataError
        Images or masks cannot be used.
    TrainingError
        The loss is no longer a number.
    """
    if not validation:
        raise DataError("There is no validation image. Hold some annotated images back from training.")
    network, spec = start_network(config, training)
    trainer = _Trainer(network, spec, config, CropSampler(training, spec.normalization, config))
    best = -math.inf
    for step in range(1, config.steps + 1):
        yield StepReport(step, config.steps, trainer.step(step))
        if step % config.validate_every == 0 or step == config.steps:
            model = Model("in training", trainer.averaged, spec)
            pooled, per_image = evaluate_pairs(
                model, validation, device=config.device, precision=config.precision
            )
            trainer.averaged.to(trainer.device)
            score = float(np.nanmean([s.iou for s in pooled])) if any(s.iou >= 0 for s in pooled) else 0.0
            if score > best:
                best = score
                entry = _history(config, training, validation, step, pooled)
                save_checkpoint(Path(output) / MODEL_FILE, trainer.averaged, spec, (entry,))
            yield ValidationReport(step, config.steps, pooled, per_image, score == best)


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


class _Trainer:
    """Network, its moving average, optimiser and schedule."""

    def __init__(
        self, network: nn.Module, spec: ModelSpec, config: TrainingConfig, sampler: CropSampler
    ) -> None:
        self.spec, self.config, self.sampler = spec, config, sampler
        self.device = pick_device(config.device)
        self.dtype = autocast_dtype(self.device, config.precision)
        if self.device.type == "cpu" and self.dtype is not None:
            depthwise_in_float32(network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).train()
        self.averaged = copy.deepcopy(self.network) if config.ema else self.network
        encoder = list(encoder_of(network).parameters())
        inside = {id(p) for p in encoder}
        rest = [p for p in network.parameters() if id(p) not in inside]
        groups = [{"params": encoder, "lr": config.lr_encoder}, {"params": rest, "lr": config.lr_decoder}]
        if config.optimizer == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(groups)
        else:
            self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        if self.config.schedule == "constant":
            return 1.0
        warm = max(1, self.config.steps // 20)
        if step < warm:
            return (step + 1) / warm
        done = (step - warm) / max(1, self.config.steps - warm)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def step(self, step: int) -> float:
        """Take one optimiser step and give its loss."""
        grey, target = self.sampler.batch(step)
        self.network.train()
        x = normalise(grey.to(self.device), self.spec.normalization)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits = self.network(x)
        loss = segmentation_loss(logits.float(), target.to(self.device), self.config.bce, self.config.dice)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} at step {step}; the best model so far is kept. "
                "Lower the learning rates, or use precision float32."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self._average(step)
        return value

    @torch.no_grad()
    def _average(self, step: int) -> None:
        if self.averaged is self.network:
            return
        # A short memory at first, else the random start would linger.
        decay = min(self.config.ema, step / (step + 10))
        current = self.network.state_dict()
        for key, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[key], 1 - decay)
            else:
                value.copy_(current[key])


def _history(
    config: TrainingConfig,
    training: Sequence[ImagePair],
    validation: Sequence[ImagePair],
    step: int,
    pooled: Sequence[PixelScores],
) -> HistoryEntry:
    return HistoryEntry(
        what="trained",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        details={
            "config": config.model_dump(mode="json"),
            "step": step,
            "training_images": [p.name for p in training[:1000]],
            "validation_images": [p.name for p in validation],
            "validation_pooled_iou": {
                c.name: None if math.isnan(s.iou) else s.iou
                for c, s in zip(config.classes, pooled, strict=True)
            },
        },
    )
