"""Scores and loss of a model on annotated images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from napari_micro_ktnet.measurement.scores import PixelScores, confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.sem.writer import write_image, write_labels
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE, loss_from_sums, loss_sums

PREVIEW_IMAGE, PREVIEW_LABELS = "preview_image.tif", "preview_labels.tif"
_PREVIEW_SIDE = 1024
# Probabilities are float32: nothing is more certain than this.
_CERTAIN = 1e-7


@dataclass(frozen=True, eq=False)
class Validation:
    """What a validation found.

    Attributes
    ----------
    pooled : tuple of PixelScores
        Of every class besides matrix, from one confusion matrix over all images.
    per_image : tuple of tuple of PixelScores
        The same for each image.
    loss : float
        `segmentation_loss` over all annotated pixels of all images.
    preview : uint8 ndarray of shape (Y, X), optional
        Labels of the first image, if this process did it.
    """

    pooled: tuple[PixelScores, ...]
    per_image: tuple[tuple[PixelScores, ...], ...]
    loss: float
    preview: NDArray[np.uint8] | None = None


def evaluate_pairs(
    model: Model, pairs: Sequence[ImagePair], *, device: str = "auto", precision: str = "auto"
) -> tuple[tuple[PixelScores, ...], tuple[tuple[PixelScores, ...], ...]]:
    """Score a model on annotated images at threshold 0.5, in one orientation.

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
    matrices = [matrix for matrix, _, _ in _examine(model, pairs, device, precision)]
    return scores_from_confusion(np.sum(matrices, axis=0)), tuple(map(scores_from_confusion, matrices))


def validate(fabric: Fabric, model: Model, pairs: Sequence[ImagePair], config: TrainingConfig) -> Validation:
    """Validate, sharing the images among the devices.

    Parameters
    ----------
    fabric : Fabric
        Launched.
    model : Model
        The model; its network goes back to the device of the process.
    pairs : sequence of ImagePair
        The same in every process.
    config : TrainingConfig
        Precision, and weights of the losses.
    """
    rank, world = fabric.global_rank, fabric.world_size
    classes = len(model.spec.classes) + 1
    matrices = np.zeros((len(pairs), classes, classes), np.int64)
    sums: Tensor = torch.zeros(2 + 2 * (classes - 1), dtype=torch.float64)
    preview = None
    own = range(rank, len(pairs), world)
    examined = _examine(model, [pairs[i] for i in own], str(fabric.device), config.precision)
    for index, (matrix, labels, part) in zip(own, examined, strict=True):
        matrices[index] = matrix
        sums += part
        preview = labels if index == 0 else preview
    model.network.to(fabric.device)
    all_matrices, all_sums = (
        fabric.all_reduce(t.to(fabric.device), reduce_op="sum").cpu()  # type: ignore[union-attr]
        for t in (torch.from_numpy(matrices), sums.float())
    )
    per_image = all_matrices.numpy()
    return Validation(
        scores_from_confusion(per_image.sum(0)),
        tuple(map(scores_from_confusion, per_image)),
        float(loss_from_sums(all_sums, config.bce, config.dice)),
        preview,
    )


def write_preview(folder: Path, pairs: Sequence[ImagePair], result: Validation) -> None:
    """Write the first validation image, at most 1024 x 1024 pixels of it, and its latest labels.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    if result.preview is None:
        return
    pair = pairs[0]
    part = (slice(0, _PREVIEW_SIDE), slice(0, _PREVIEW_SIDE))
    if not (folder / PREVIEW_IMAGE).exists():
        write_image(folder / PREVIEW_IMAGE, pair.pixels[part], pair.pixel_size)
    write_labels(folder / PREVIEW_LABELS, result.preview[part], pair.pixel_size)


def _examine(
    model: Model, pairs: Sequence[ImagePair], device: str, precision: str
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8], Tensor]]:
    """Confusion matrix, labels and sums of the loss for each image."""
    for pair in pairs:
        ignore = pair.mask == IGNORE
        image = SEMImage(pair.pixels)
        # One orientation, whatever the model's own number is: this is done often, and to compare steps.
        result = segment(
            image, model, region=pair.analysed, device=device, precision=precision, orientations=1
        )
        labels = result.labels()
        matrix = confusion_matrix(labels, pair.mask, len(model.spec.classes) + 1, ignore)
        probability = torch.from_numpy(result.probability).clamp(_CERTAIN, 1 - _CERTAIN)
        logits = probability.logit() if len(probability) == 1 else probability.log()
        yield matrix, labels, loss_sums(logits[None], torch.from_numpy(pair.mask)[None]).double()
