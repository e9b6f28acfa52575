"""Small things that several tests build."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from blobs import blobs as blobs
from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.checkpoint import save_checkpoint
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.model.spec import LabelClass, ModelSpec

IDENTITY = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class PixelNetwork(nn.Module):
    """Logits that depend on each pixel alone, so that tiling must not change anything."""

    def __init__(self, channels: int = 1, most_pixels: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.most_pixels = most_pixels
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        if self.most_pixels is not None and x.shape[0] * x.shape[2] * x.shape[3] > self.most_pixels:
            raise torch.OutOfMemoryError("out of memory (made up by the test)")
        grey = x.mean(dim=1, keepdim=True)
        return torch.cat([(grey - 0.5) * 8 * (i + 1) for i in range(self.channels)], dim=1)


class SlopeNetwork(nn.Module):
    """Logits that depend on place and left neighbour: others for a mirrored image."""

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(dim=1, keepdim=True)
        rows, columns = (torch.linspace(-1, 1, n, device=x.device) for n in x.shape[-2:])
        return 4 * (grey - grey.roll(1, -1)) + rows[:, None] + 0.5 * columns


def slope_model(orientations: int = 1) -> Model:
    """A model that sees mirrored and turned images differently."""
    spec = ModelSpec(normalization={"percentiles": (0.0, 100.0), **IDENTITY}, orientations=orientations)
    return Model("slope", SlopeNetwork().eval(), spec)


def pixel_model(classes: int = 1, *, most_pixels: int | None = None, pixel_size=None) -> Model:
    """A model whose probability is a known function of the stretched grey value."""
    names = tuple(LabelClass(name=f"class {i}", color="#ff0000") for i in range(1, classes + 1))
    spec = ModelSpec(
        classes=names,
        normalization={"percentiles": (0.0, 100.0), **IDENTITY},
        pixel_size_nm=pixel_size,
    )
    return Model("pixels", PixelNetwork(spec.channels, most_pixels).eval(), spec)


def small_model_file(path: Path, **spec: object) -> Path:
    """A model file with random weights of a small encoder."""
    torch.manual_seed(0)
    description = ModelSpec(encoder="resnet18", **spec)
    return save_checkpoint(path, build_network(description), description)
