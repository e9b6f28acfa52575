"""0.7 binary cross-entropy + 0.3 Dice on logits; cross-entropy + Dice for several classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
"""Mask value of pixels that count neither in the loss nor in scores."""

_EPS = 1e-6


def segmentation_loss(logits: Tensor, target: Tensor, bce: float = 0.7, dice: float = 0.3) -> Tensor:
    """Weighted sum of (binary) cross-entropy and Dice loss.

    Parameters
    ----------
    logits : Tensor
        ``(N, C, Y, X)``, float. C = 1: one class against matrix. C > 1: channel 0 is matrix.
    target : Tensor
        ``(N, Y, X)``, integer classes from 0, `IGNORE` where not annotated.
    bce, dice : float
        Weights of the two terms.

    Returns
    -------
    Tensor
        Scalar. Where nothing is annotated it is 0.

    Notes
    -----
    Dice is ``1 - 2 sum(p t) / (sum(p) + sum(t))`` (Milletari et al. 2016, arXiv:1606.04797, with
    plain instead of squared sums), summed over the whole batch, so that a crop without
    foreground does not count as a total failure; mean over the classes besides matrix.
    """
    return loss_from_sums(loss_sums(logits, target), bce, dice)


def loss_sums(logits: Tensor, target: Tensor) -> Tensor:
    """Sum over a batch what the loss is made of; the sums of several batches add up.

    Parameters
    ----------
    logits, target : Tensor
        As for `segmentation_loss`.

    Returns
    -------
    Tensor
        ``(2 + 2 K,)`` for K classes besides matrix: summed cross-entropy, number of annotated pixels,
        then for each class sum(p t), then for each class sum(p) + sum(t).
    """
    valid = target != IGNORE
    weight = valid.to(logits.dtype)[:, None]
    if logits.shape[1] == 1:
        truth = (target == 1).to(logits.dtype)[:, None]
        entropy = (F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight).sum()
        probability = logits.sigmoid()
    else:
        entropy = F.cross_entropy(logits, target.long(), ignore_index=IGNORE, reduction="sum")
        classes = torch.where(valid, target, 0).long()
        truth = F.one_hot(classes, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(logits.dtype)
        probability = logits.softmax(1)[:, 1:]
    shared = (probability * truth * weight).sum((0, 2, 3))
    total = ((probability + truth) * weight).sum((0, 2, 3))
    return torch.cat([entropy[None], weight.sum()[None], shared, total])


def loss_from_sums(sums: Tensor, bce: float = 0.7, dice: float = 0.3) -> Tensor:
    """Loss of everything that went into the sums of `loss_sums`; a scalar Tensor."""
    entropy = sums[0] / sums[1].clamp(min=1)
    shared, total = sums[2:].chunk(2)
    return bce * entropy + dice * (1 - (2 * shared + _EPS) / (total + _EPS)).mean()
