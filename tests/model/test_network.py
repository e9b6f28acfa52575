from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_micro_ktnet.errors import InputError, ModelError
from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.network import SCSE, MicroKTNet, pad_to_stride
from napari_micro_ktnet.model.spec import ARCHITECTURES, LabelClass, ModelSpec

LITE0 = "timm-tf_efficientnet_lite0"
TWO = (LabelClass(name="a", color="#ff0000"), LabelClass(name="b", color="#00ff00"))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (33, 70), (5, 200), (1, 1)])
def test_any_size_gives_logits_of_that_size(height: int, width: int) -> None:
    network = MicroKTNet(LITE0, 2).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, height, width)).shape == (2, 2, height, width)


@pytest.mark.parametrize(
    "encoder",
    [
        "resnet18",
        "se_resnet50",
        "densenet121",
        "dpn68",
        "vgg11_bn",
        "efficientnet-b0",
        "mobilenet_v2",
        "xception",
        "inceptionv4",
        "mobileone_s0",
        "timm-skresnet18",
        "mit_b0",
        LITE0,
    ],
)
def test_encoder_families(encoder: str) -> None:
    network = MicroKTNet(encoder).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 96, 64)).shape == (1, 1, 96, 64)


@pytest.mark.parametrize(
    ("encoder", "millions"), [("se_resnext50_32x4d", 32.5), (LITE0, 5.8)], ids=["se_resnext50", "lite0"]
)
def test_size_of_the_network(encoder: str, millions: float) -> None:
    count = sum(p.numel() for p in MicroKTNet(encoder).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_decoder_options() -> None:
    full = MicroKTNet(LITE0)
    plain = MicroKTNet(LITE0, upsampling="nearest", scse=False)

    def count(network: nn.Module, kind: type[nn.Module]) -> int:
        return sum(isinstance(m, kind) for m in network.decoder.modules())

    assert (count(full, nn.ConvTranspose2d), count(full, SCSE), count(full, nn.Upsample)) == (5, 5, 0)
    assert (count(plain, nn.ConvTranspose2d), count(plain, SCSE), count(plain, nn.Upsample)) == (0, 0, 5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_scse_is_the_sum_of_both_branches(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    scse, x = SCSE(32), torch.randn(2, 32, 5, 7).to(memory_format=memory_format)
    mean = x.mean(dim=(2, 3))
    down, up = scse.channel[1], scse.channel[3]
    hidden = torch.relu(mean @ down.weight[:, :, 0, 0].T + down.bias)
    channel = torch.sigmoid(hidden @ up.weight[:, :, 0, 0].T + up.bias)[:, :, None, None]
    weight = scse.spatial[0].weight[0, :, 0, 0]
    spatial = torch.sigmoid(torch.einsum("ncyx,c->nyx", x, weight) + scse.spatial[0].bias)[:, None]
    torch.testing.assert_close(scse(x), x * channel + x * spatial)
    assert scse(x).is_contiguous(memory_format=memory_format)


def test_padding_repeats_the_edge_and_keeps_the_image() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = pad_to_stride(x, 4)
    assert padded.shape == (1, 1, 4, 4)
    assert torch.equal(padded[..., :3, :], x)
    assert torch.equal(padded[..., 3, :], x[..., 2, :])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture(architecture: str) -> None:
    spec = ModelSpec(architecture=architecture, encoder="resnet18", classes=TWO)
    network = build_network(spec).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 70, 45)).shape == (1, 3, 70, 45)
    assert isinstance(network.encoder, nn.Module)


@pytest.mark.parametrize("architecture", ["micro-ktnet", "unet"])
def test_an_encoder_for_some_sizes_alone_is_refused(architecture: str) -> None:
    for encoder in ("tu-swin_tiny_patch4_window7_224", "tu-mvitv2_tiny"):
        with pytest.raises(ModelError, match="does not take images of any size"):
            build_network(ModelSpec(architecture=architecture, encoder=encoder))
    network = build_network(ModelSpec(architecture=architecture, encoder="tu-resnet18"))
    assert network(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize("architecture", ["micro-ktnet", "unet"])
def test_unknown_encoder_is_named(architecture: str) -> None:
    with pytest.raises(ModelError, match="resnet-nine"):
        build_network(ModelSpec(architecture=architecture, encoder="resnet-nine"))


def test_no_channels() -> None:
    with pytest.raises(InputError, match="found 0"):
        MicroKTNet(LITE0, 0)
