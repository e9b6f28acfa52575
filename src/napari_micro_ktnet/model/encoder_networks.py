"""Encoders of segmentation-models-pytorch, with what has to be known about some of them."""

from __future__ import annotations

import warnings
from typing import cast

import segmentation_models_pytorch as smp
import torch
from torch import nn

from napari_micro_ktnet.errors import ModelError
from napari_micro_ktnet.model.encoders import canonical_encoder

# Sides of a crop and of a tile, both multiples of the stride.
_PROBES = ((64, 64), (288, 320))


def build_encoder(name: str) -> nn.Module:
    """Build an encoder of segmentation-models-pytorch with random weights, offline.

    Parameters
    ----------
    name : str
        Encoder name as segmentation-models-pytorch spells it.

    Raises
    ------
    ModelError
        The name is unknown, or the encoder has no five levels, or is for some sizes of images alone.
    """
    with warnings.catch_warnings():
        # The `timm-` names are what published checkpoints carry; their announced removal is a
        # matter for our lower bounds, not for the user who runs a model.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="segmentation_models_pytorch")
        try:
            encoder = smp.encoders.get_encoder(canonical_encoder(name), in_channels=3, depth=5, weights=None)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"The encoder {name!r} cannot be built: {error}. "
                "Expected a five-level encoder of segmentation-models-pytorch, such as 'se_resnext50_32x4d'."
            ) from error
    set_tensorflow_epsilon(encoder, name)
    if name.startswith("tu-"):
        _check_any_size(encoder, name)
    return cast("nn.Module", encoder)


def _check_any_size(encoder: nn.Module, name: str) -> None:
    """Refuse what timm builds for some sizes of images alone, such as Swin transformers."""
    try:
        with torch.inference_mode():
            for shape in _PROBES:
                encoder.eval()(torch.zeros(1, 3, *shape))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"The encoder {name!r} does not take images of any size ({reason}). Expected one that does, such "
            "as 'se_resnext50_32x4d'."
        ) from error
    encoder.train()


def set_tensorflow_epsilon(encoder: nn.Module, name: str) -> None:
    """Give encoders whose weights were trained by TensorFlow its batch-normalisation epsilon.

    segmentation-models-pytorch builds ``timm-tf_*`` encoders with torch's 1e-5; the weights were
    trained with 1e-3, and with the smaller one their channels of little variance come out far
    too large whenever the statistics are taken from the batch.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place.
    name : str
        Its name.
    """
    if name.startswith("timm-tf_"):
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3
