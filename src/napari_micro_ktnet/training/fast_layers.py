"""Layers computed another way where that is faster, or right, in training on a processor.

Weights and their names stay as they are. Measured on a processor with native bfloat16, feature maps in
channels-last order, forward and backward pass.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_micro_ktnet.predict.fast_network import is_global_mean

LARGE = 512 * 1024
"""Weights of a 1 x 1 convolution from which on a matrix product is faster."""


class _InFloat32:
    """Mixed into a convolution: computes in float32 under autocast too."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            result: Tensor = super().forward(x.float())  # type: ignore[misc]
        return result


class _Pointwise(nn.Conv2d):
    """Combines the channels of each pixel: one matrix product."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class _Doubling(nn.ConvTranspose2d):
    """Makes four pixels of each, that do not overlap: one matrix product, then put in their places."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x, output_size)
        number, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
        # A view, as the weights (in, out, 2, 2) lie in channels-last order too.
        weight = self.weight.permute(0, 2, 3, 1).reshape(channels, -1)
        product = rows @ weight if self.bias is None else torch.addmm(self.bias.repeat(4), rows, weight)
        pixels = product.reshape(number, height, width, 2, 2, -1).transpose(2, 3)
        return pixels.reshape(number, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


class _BySum(nn.AdaptiveAvgPool2d):
    """The mean as a sum, whose gradient is one number a channel, not a map in the other memory order."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])


def use_fast_layers(network: nn.Module) -> None:
    """Let layers of a network on the CPU compute in the way that is fastest in training.

    - Depthwise convolutions with a stride, or with a kernel larger than 3, in float32 under autocast too:
      their backward pass is two to five times slower in bfloat16. All others are faster in bfloat16.
    - Dilated depthwise convolutions in float32 too: on maps of 32 x 32 and more, the gradient of their
      weights comes out wrong in bfloat16, even infinite (oneDNN 3.13 on AVX-512).
    - Transposed convolutions of 2 x 2 with stride 2, under autocast, as a matrix product: the backward
      pass is about twice as fast. 1 x 1 convolutions of many channels likewise, by a fifth to a half.
    - Global averages as a sum divided by the number of pixels: the gradient of torch's mean is a map in
      channels-first order, and adding it to one in channels-last order takes five times as long.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _needs_float32(module):
            base = type(module)
            if not issubclass(base, _InFloat32):
                module.__class__ = type(f"{base.__name__}InFloat32", (_InFloat32, base), {})
        elif type(module) is nn.ConvTranspose2d and _only_doubles(module):
            module.__class__ = _Doubling
        elif type(module) is nn.Conv2d and _is_large_pointwise(module):
            module.__class__ = _Pointwise
        elif is_global_mean(module):
            module.__class__ = _BySum


def _needs_float32(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels > 1
    slow = max(convolution.kernel_size) > 3 or max(convolution.stride) > 1
    return depthwise and (slow or max(convolution.dilation) > 1)


def _is_large_pointwise(convolution: nn.Conv2d) -> bool:
    pointwise = convolution.kernel_size == convolution.stride == (1, 1) and convolution.padding == (0, 0)
    return pointwise and convolution.groups == 1 and convolution.weight.numel() >= LARGE


def _only_doubles(convolution: nn.ConvTranspose2d) -> bool:
    two = convolution.kernel_size == convolution.stride == (2, 2)
    padded = max(*convolution.padding, *convolution.output_padding) > 0
    return two and not padded and convolution.groups == 1
