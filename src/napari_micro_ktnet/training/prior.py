"""Undo what strokes teach wrongly: how frequent each class is.

Someone who draws strokes marks about as much agglomerate as matrix, whatever their shares in the image, and
a network trained on that expects these shares everywhere. What it found in the pixels without a stroke tells
the true shares; a constant on the output of each class then puts it right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_micro_ktnet.model.checkpoint import (
    HistoryEntry,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

CORRECTED = "corrected for the shares of the classes"
"""What the history of a corrected model says."""

_MOST_IMAGES, _EVERY = 16, 7
_ITERATIONS, _SAME = 1000, 1e-6
# Where a model is not sure of a rare class the estimate can run away: of the marked pixels that were right,
# this share has to stay right in every class.
_KEPT = 0.9
_FRACTIONS = np.linspace(1, 0, 41)


@dataclass(frozen=True)
class PriorCorrection:
    """What was estimated and added.

    Attributes
    ----------
    annotated, estimated : tuple of float
        Share of each class, matrix first: of the annotated pixels, and of all pixels.
    fraction : float
        Of the correction that was made; 1 unless it would have cost too many marked pixels.
    shift : tuple of float
        Added to each output of the network.
    """

    annotated: tuple[float, ...]
    estimated: tuple[float, ...]
    fraction: float
    shift: tuple[float, ...]

    def text(self, names: Sequence[str]) -> str:
        """Say it in a sentence; `names` are those of the classes besides matrix."""
        shares = ", ".join(
            f"{name} {estimated:.1%} of the area ({annotated:.0%} of what is marked)"
            for name, annotated, estimated in zip(names, self.annotated[1:], self.estimated[1:], strict=True)
        )
        return f"The model was corrected for the shares of the classes: {shares}."


def estimate_shares(probability: NDArray[np.floating], annotated: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate how frequent each class is where nothing is annotated.

    The EM algorithm of Saerens, Latinne and Decaestecker (2002), Neural Computation 14(1), 21-41, eq. 2.9.

    Parameters
    ----------
    probability : ndarray of float, (N, K)
        Of each class for each pixel, from a model that was trained with the shares `annotated`.
    annotated : ndarray of float, (K,)
        Shares of the classes in training; all above 0, sum 1.

    Returns
    -------
    ndarray of float, (K,)
        Shares of the classes in these pixels; sum 1.
    """
    shares = annotated
    for _ in range(_ITERATIONS):
        weighted = probability * (shares / annotated)
        before, shares = shares, (weighted / weighted.sum(1, keepdims=True)).mean(0)
        if np.abs(shares - before).max() < _SAME:
            break
    return shares


def correct_prior(
    model: Model, training: Sequence[ImagePair], *, device: str = "auto", precision: str = "auto"
) -> PriorCorrection | None:
    """Correct a model that learnt from strokes, in place.

    Parameters
    ----------
    model : Model
        Its last layer is changed.
    training : sequence of ImagePair
        The images that it learnt from; at most 16 of them are looked at.

    Returns
    -------
    PriorCorrection or None
        None where a class is annotated nowhere, or nothing is to be changed.
    """
    classes = len(model.spec.classes) + 1
    counts = sum(np.bincount(p.mask[p.mask != IGNORE], minlength=classes) for p in training)
    annotated = np.asarray(counts, float) / np.sum(counts)
    if not annotated.all():
        return None
    some = training[:: -(-len(training) // _MOST_IMAGES)]
    maps = [_probability(model, pair, device, precision) for pair in some]
    every = [found[pair.analysed][::_EVERY] for found, pair in zip(maps, some, strict=True)]
    estimated = np.maximum(estimate_shares(np.concatenate(every), annotated), np.finfo(float).tiny)
    marked = [found[pair.mask != IGNORE] for found, pair in zip(maps, some, strict=True)]
    truth = np.concatenate([pair.mask[pair.mask != IGNORE] for pair in some])
    change = np.log(estimated / annotated)
    fraction = _bearable(np.concatenate(marked), truth, change)
    if fraction == 0:
        return None
    change *= fraction
    shift = change if model.spec.channels > 1 else change[1:] - change[:1]
    with torch.no_grad():
        bias = _output_bias(model.network)
        bias.add_(torch.from_numpy(shift).to(bias))
    return PriorCorrection(
        tuple(annotated.tolist()), tuple(estimated.tolist()), fraction, tuple(shift.tolist())
    )


def _bearable(
    probability: NDArray[np.float64], truth: NDArray[np.uint8], change: NDArray[np.float64]
) -> float:
    """Largest fraction of a change of the logits that leaves most marked pixels as right as they were."""
    logits = np.log(np.maximum(probability, np.finfo(float).tiny))
    right = logits.argmax(1) == truth
    logits, truth = logits[right], truth[right]
    needed = _KEPT * np.bincount(truth, minlength=len(change))
    for fraction in _FRACTIONS:
        still = (logits + fraction * change).argmax(1) == truth
        if (np.bincount(truth[still], minlength=len(change)) >= needed).all():
            return float(fraction)
    return 0.0


def correct_file(
    path: Path, training: Sequence[ImagePair], *, device: str = "auto", precision: str = "auto"
) -> PriorCorrection | None:
    """Correct a model file as `correct_prior` does, unless that was done before.

    Returns
    -------
    PriorCorrection or None
        None where nothing was changed.
    """
    info = read_checkpoint_info(path)
    if info.history and info.history[-1].what == CORRECTED:
        return None
    model = Model(path.stem, load_network(info), info.spec)
    found = correct_prior(model, training, device=device, precision=precision)
    if found is not None:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = HistoryEntry(what=CORRECTED, when=when, details=asdict(found))
        save_checkpoint(path, model.network.cpu(), info.spec, (*info.history, entry))
    return found


def _probability(model: Model, pair: ImagePair, device: str, precision: str) -> NDArray[np.float64]:
    """Probability of every class, matrix first, ``(Y, X, K)``."""
    image = SEMImage(pair.pixels)
    result = segment(image, model, region=pair.analysed, device=device, precision=precision, orientations=1)
    found = np.moveaxis(result.probability.astype(float), 0, -1)
    return found if model.spec.channels > 1 else np.concatenate([1 - found, found], axis=-1)


def _output_bias(network: nn.Module) -> Tensor:
    """Give the constants that the last layer adds to the outputs."""
    layer = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    assert layer.bias is not None  # noqa: S101 - every architecture here has one
    return layer.bias
