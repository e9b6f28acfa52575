"""Encoder weights of the packages that NASA trained with, loaded into our encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pretrainedmodels
import pytest
import torch
import torchvision
from efficientnet_pytorch import EfficientNet
from torch import Tensor, nn

from napari_micro_ktnet.errors import WeightsError
from napari_micro_ktnet.model.encoder_keys import encoder_state
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.encoders import encoder_names
from napari_micro_ktnet.model.micronet import list_micronet
from napari_micro_ktnet.model.weights import load_encoder_weights

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHED = sorted({entry.encoder for entry in list_micronet()})
PAPER = [
    "densenet121",
    "dpn107",
    "efficientnet-b5",
    "inceptionresnetv2",
    "inceptionv4",
    "mobilenet_v2",
    "resnet50",
    "resnext50_32x4d",
    "se_resnext50_32x4d",
    "senet154",
    "vgg16_bn",
    "xception",
]


def foreign_network(name: str, *, package: str = "") -> nn.Module:
    """The network as the package builds it that NASA trained with; tensors without memory."""
    with torch.device("meta"):
        if name.startswith("efficientnet"):
            return EfficientNet.from_name(name)
        if name in pretrainedmodels.model_names and package != "torchvision":
            return getattr(pretrainedmodels, name)(num_classes=1000, pretrained=None)
        return getattr(torchvision.models, name)(weights=None)


def foreign_features(name: str, network: nn.Module) -> Callable[[Tensor], Tensor]:
    """What the foreign network computes before it pools: ``(N, 3, Y, X)`` to ``(N, C, Y/32, X/32)``."""
    if name.startswith("efficientnet"):
        return lambda x: network.extract_endpoints(x)["reduction_5"]
    if name.startswith("resnext"):
        return nn.Sequential(*list(network.children())[:-2])
    if name.startswith("vgg"):
        return network._features
    if name.startswith("densenet"):
        # The ReLU after the last normalisation belongs to the classifier.
        return lambda x: network.features(x)
    if name.startswith(("inception", "xception")):
        pad_like_encoder(name, network)
    return network.features


def pad_like_encoder(name: str, network: nn.Module) -> None:
    """Pad where segmentation-models-pytorch does, so that every level halves the size exactly."""
    if name == "xception":
        network.conv1.padding = network.conv2.padding = (1, 1)
        return
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d) or (
            isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
        ):
            module.padding = (1, 1)


def give_values(network: nn.Module) -> nn.Module:
    """Allocate tensors and fill them so that the signal neither fades nor explodes."""
    network = network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                # Statistics of the next batch alone become the running statistics.
                module.momentum = 1.0
                module.weight.uniform_(0.7, 1.3, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.uniform_(-1, 1, generator=generator).mul_((6 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.zero_()
    return network


def calibrate(network: nn.Module, features: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Take the statistics of the batch normalisations from `images`; without drop-connect."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    features(images)
    network.eval()


def empty_encoder(name: str) -> nn.Module:
    """An encoder whose every tensor must be overwritten before it computes anything."""
    with torch.device("meta"):
        encoder = build_encoder(name)
    encoder = encoder.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in encoder.state_dict().values():
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)
    return encoder


@pytest.mark.parametrize("name", PAPER)
def test_encoder_computes_what_the_source_network_computes(name: str) -> None:
    foreign = give_values(foreign_network(name))
    features = foreign_features(name, foreign)
    encoder = empty_encoder(name)
    with torch.no_grad():
        images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(6))
        calibrate(foreign, features, images)
        encoder.eval()
        load_encoder_weights(encoder, name, foreign.state_dict(), source="test")
        expected = features(images)
        found = encoder(images)[-1]
    assert float(expected.std()) > 1e-3
    # Eleven agree bit for bit; efficientnet_pytorch rounds its activation in another way.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


def both_packages() -> list[tuple[str, str]]:
    cases = [(name, "") for name in PUBLISHED]
    return cases + [(name, "torchvision") for name in PUBLISHED if hasattr(torchvision.models, name)]


@pytest.mark.parametrize(("name", "package"), both_packages())
def test_every_published_encoder_takes_the_keys_of_its_source(name: str, package: str) -> None:
    assert name in encoder_names()
    found = encoder_state(name, foreign_network(name, package=package).state_dict())
    with torch.device("meta"):
        expected = build_encoder(name).state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}


def source_state(name: str = "resnet18") -> dict[str, Tensor]:
    return dict(give_values(foreign_network(name, package="torchvision")).state_dict())


def test_counters_that_old_files_lack_start_from_zero() -> None:
    state = {k: v for k, v in source_state().items() if not k.endswith("num_batches_tracked")}
    encoder = empty_encoder("resnet18")
    load_encoder_weights(encoder, "resnet18", state, source="test")
    assert int(encoder.bn1.num_batches_tracked) == 0
    torch.testing.assert_close(encoder.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])


def test_half_precision_file_fills_single_precision_encoder() -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in source_state().items()}
    encoder = empty_encoder("resnet18")
    load_encoder_weights(encoder, "resnet18", state, source="test")
    assert encoder.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(encoder.conv1.weight.half(), state["conv1.weight"], rtol=0, atol=0)


def _without(state: dict[str, Tensor]) -> None:
    del state["layer1.0.conv1.weight"], state["layer1.0.bn1.running_mean"]


def _extra(state: dict[str, Tensor]) -> None:
    state["layer9.weight"] = torch.zeros(1)


def _shape(state: dict[str, Tensor]) -> None:
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)


def _integers(state: dict[str, Tensor]) -> None:
    state["bn1.weight"] = torch.zeros(64, dtype=torch.int64)


def _not_finite(state: dict[str, Tensor]) -> None:
    state["bn1.bias"] = torch.full((64,), torch.inf)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without, ["2 missing", "layer1.0.conv1.weight", "layer1.0.bn1.running_mean"]),
        (_extra, ["1 unexpected", "layer9.weight"]),
        (_shape, ["1 of another shape", "conv1.weight: (64, 1, 7, 7) instead of (64, 3, 7, 7)"]),
        (_integers, ["1 of another type", "bn1.weight"]),
        (_not_finite, ["1 with values that are not finite", "bn1.bias"]),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    spoil: Callable[[dict[str, Tensor]], None], words: list[str]
) -> None:
    state = source_state()
    spoil(state)
    encoder = build_encoder("resnet18")
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_encoder_weights(encoder, "resnet18", state, source="some_file.pth")
    for word in ["some_file.pth", "'resnet18'", *words]:
        assert word in str(caught.value)
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_long_lists_of_keys_are_shortened() -> None:
    with pytest.raises(WeightsError, match=r"missing \(.*, \.\.\.\)") as caught:
        load_encoder_weights(build_encoder("resnet18"), "resnet18", source_state("vgg11_bn"), source="f")
    assert len(str(caught.value)) < 700


def test_given_state_dict_is_left_as_it_was() -> None:
    state = source_state()
    keys = list(state)
    load_encoder_weights(empty_encoder("resnet18"), "resnet18", state, source="test")
    assert list(state) == keys
