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
    valid = target != IGNORE
    if not bool(valid.any()):
        return logits.sum() * 0.0
    if logits.shape[1] == 1:
        truth = (target == 1).float()[:, None]
        weight = valid.float()[:, None]
        entropy = (
            F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight
        ).sum() / weight.sum()
        return bce * entropy + dice * _dice(logits.sigmoid(), truth, weight)
    entropy = F.cross_entropy(logits, target.long(), ignore_index=IGNORE)
    classes = torch.where(valid, target, 0).long()
    truth = F.one_hot(classes, logits.shape[1]).permute(0, 3, 1, 2).float()
    probability = logits.softmax(1)
    return bce * entropy + dice * _dice(probability[:, 1:], truth[:, 1:], valid.float()[:, None])


def _dice(probability: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    axes = (0, 2, 3)
    shared = (probability * truth * weight).sum(axes)
    total = ((probability + truth) * weight).sum(axes)
    return (1 - (2 * shared + _EPS) / (total + _EPS)).mean()
