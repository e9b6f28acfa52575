"""Reduced precision that is faster for every layer, not only for most of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _InFloat32:
    """Mixed into a convolution: computes in float32 under autocast too."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            result: Tensor = super().forward(x.float())  # type: ignore[misc]
        return result


def depthwise_in_float32(network: nn.Module) -> None:
    """Let the depthwise convolutions that gain by it compute in float32 under CPU autocast.

    On processors with native bfloat16, the backward pass of a depthwise convolution with a stride or
    with a kernel larger than 3 is two to five times slower in bfloat16 than in float32; all others are
    faster. Weights and their names stay as they are.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_slow(module) and not isinstance(module, _InFloat32):
            base = type(module)
            module.__class__ = type(f"{base.__name__}InFloat32", (_InFloat32, base), {})


def _is_slow(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels > 1
    return depthwise and (max(convolution.kernel_size) > 3 or max(convolution.stride) > 1)
