"""Micro-KTNet: an encoder of segmentation-models-pytorch and a transposed-convolution decoder.

The method is described in J. Industrial Textiles, doi 10.1177/15280837241307864; scSE attention
in Roy et al. 2018, arXiv:1803.02579.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_micro_ktnet.errors import InputError, ModelError
from napari_micro_ktnet.model.encoder_networks import build_encoder

DECODER_CHANNELS = (256, 128, 64, 32, 16)
STRIDE = 32


def pad_to_stride(x: Tensor, stride: int = STRIDE) -> Tensor:
    """Pad an image batch at the bottom and right so that its sides divide by `stride`.

    Parameters
    ----------
    x : Tensor
        ``(N, C, Y, X)``.
    stride : int
        What the sides must divide by.

    Returns
    -------
    Tensor
        ``(N, C, Y', X')``, edge pixels repeated.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % stride, -width % stride
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


class ConvBlock(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU; keeps ``(Y, X)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class SCSE(nn.Module):
    """Concurrent spatial and channel squeeze-excite, summed (arXiv:1803.02579).

    Parameters
    ----------
    channels : int
        Channels of the feature map ``(N, C, Y, X)``.
    reduction : int
        How much the channel branch narrows.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, narrow, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Weight a feature map ``(N, C, Y, X)``."""
        # x * (c + s) equals x * c + x * s with one pass over the feature map less.
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return cast("Tensor", x * (self.channel(x) + self.spatial(x)))
        # On processors, sums and products that broadcast loop over the few channels innermost in this
        # order: three times slower than products of matrices (pixel, channel) that do the same.
        number, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(number, height * width, channels)
        ones = pixels.new_ones(number, height * width, 1)
        mean = torch.bmm(ones.mT, pixels) / (height * width)
        channel = self.channel[1:](mean.reshape(number, channels, 1, 1)).reshape(number, 1, channels)
        spatial = self.spatial(x).reshape(number, height * width, 1)
        ones = torch.ones_like(spatial)
        weight = torch.bmm(torch.cat([spatial, ones], 2), torch.cat([torch.ones_like(channel), channel], 1))
        return x * weight.reshape(number, height, width, channels).permute(0, 3, 1, 2)


class DecoderBlock(nn.Module):
    """Double the size, concatenate the skip, convolve twice, attend.

    Parameters
    ----------
    in_channels, skip_channels, out_channels : int
        Channels of the coarser map, of the encoder's skip (0 = none), and of the result.
    upsampling : {"transpose", "nearest"}
        Transposed convolution (the paper) or nearest neighbour.
    scse : bool
        Attention at the end of the block.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        upsampling: Literal["transpose", "nearest"],
        scse: bool,
    ) -> None:
        super().__init__()
        self.up: nn.Module
        if upsampling == "transpose":
            self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
            upsampled = out_channels
        else:
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            upsampled = in_channels
        self.conv = nn.Sequential(
            ConvBlock(upsampled + skip_channels, out_channels), ConvBlock(out_channels, out_channels)
        )
        self.attention: nn.Module = SCSE(out_channels) if scse else nn.Identity()

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """``(N, C, Y, X)`` and a skip ``(N, S, 2Y, 2X)`` to ``(N, out_channels, 2Y, 2X)``."""
        x = self.up(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return cast("Tensor", self.attention(self.conv(x)))


class UNetDecoder(nn.Module):
    """Five blocks from stride 32 back to full size.

    Parameters
    ----------
    encoder_channels : sequence of int
        Channels of the encoder's levels, finest (the image itself) first.
    upsampling, scse
        See `DecoderBlock`.
    """

    def __init__(
        self, encoder_channels: Sequence[int], upsampling: Literal["transpose", "nearest"], scse: bool
    ) -> None:
        super().__init__()
        skips = [*reversed(encoder_channels[1:-1]), 0]
        inputs = [encoder_channels[-1], *DECODER_CHANNELS[:-1]]
        self.blocks = nn.ModuleList(
            DecoderBlock(i, s, o, upsampling, scse)
            for i, s, o in zip(inputs, skips, DECODER_CHANNELS, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn encoder levels, finest first, into ``(N, 16, Y, X)``."""
        x = features[-1]
        skips = [*reversed(features[1:-1]), None]
        for block, skip in zip(self.blocks, skips, strict=True):
            x = block(x, skip)
        return x


class MicroKTNet(nn.Module):
    """Micro-KTNet: SE-ResNeXt-50 (or any) encoder, transposed-convolution U-Net decoder, scSE.

    Parameters
    ----------
    encoder : str
        Encoder name of segmentation-models-pytorch. Weights are random: use
        `napari_micro_ktnet.model.weights` to load others.
    channels : int
        Logit channels: 1 for a single class, else number of classes + 1.
    upsampling : {"transpose", "nearest"}
        Transposed convolution as in the paper, or nearest-neighbour upsampling.
    scse : bool
        scSE attention in the decoder.

    Raises
    ------
    ModelError
        The encoder is unknown or has no five levels.
    """

    def __init__(
        self,
        encoder: str = "se_resnext50_32x4d",
        channels: int = 1,
        *,
        upsampling: Literal["transpose", "nearest"] = "transpose",
        scse: bool = True,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"The number of logit channels must be at least 1, found {channels}.")
        self.encoder = build_encoder(encoder)
        levels = cast("list[int]", self.encoder.out_channels)
        if len(levels) != 6:
            raise ModelError(f"The encoder {encoder!r} has {len(levels) - 1} levels; Micro-KTNet needs 5.")
        self.decoder = UNetDecoder(levels, upsampling, scse)
        self.head = nn.Conv2d(DECODER_CHANNELS[-1], channels, 3, padding=1)
        _initialise(self.decoder)
        _initialise(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        x : Tensor
            Normalised images ``(N, 3, Y, X)``, any size.

        Returns
        -------
        Tensor
            Logits ``(N, channels, Y, X)``; the sigmoid or softmax is the caller's.
        """
        height, width = x.shape[-2:]
        features = self.encoder(pad_to_stride(x))
        return cast("Tensor", self.head(self.decoder(features))[..., :height, :width])


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class PaddedNetwork(nn.Module):
    """A network of segmentation-models-pytorch that takes any input size.

    Parameters
    ----------
    network : nn.Module
        Takes ``(N, 3, Y, X)`` with sides that divide by `stride`.
    stride : int
        What the sides are padded to a multiple of.
    """

    def __init__(self, network: nn.Module, stride: int = STRIDE) -> None:
        super().__init__()
        self.network = network
        self.stride = stride

    @property
    def encoder(self) -> nn.Module:
        """The encoder inside."""
        return cast("nn.Module", self.network.encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``(N, 3, Y, X)`` into logits ``(N, channels, Y, X)``."""
        height, width = x.shape[-2:]
        forward = cast("Callable[[Tensor], Tensor]", self.network)
        return forward(pad_to_stride(x, self.stride))[..., :height, :width]
