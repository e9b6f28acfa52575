"""The copies of networks that run compute the same as their originals, and follow them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.model.spec import ModelSpec
from napari_micro_ktnet.predict.fast_network import inference_network
from napari_micro_ktnet.predict.inference import segment

CPU = torch.device("cpu")


def with_statistics(network: nn.Module) -> nn.Module:
    """Give a network normalisations that do something, as after training."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.7, 1.3),
                (module.running_var, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
            ):
                nn.init.uniform_(tensor, low, high)
    return network


def count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@torch.no_grad()
def difference(network: nn.Module, other: nn.Module) -> float:
    """Largest difference of the logits, relative to the largest logit."""
    image = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(1)) * 4 - 2
    expected = network.eval()(image)
    return float((other(image) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("architecture", "encoder", "left"),
    [
        ("micro-ktnet", "se_resnext50_32x4d", 0),
        # One normalisation comes after a padding.
        ("micro-ktnet", "timm-tf_efficientnet_lite0", 1),
        # Some convolutions come after the normalisation.
        ("micro-ktnet", "densenet121", 62),
        ("fpn", "timm-tf_efficientnet_lite0", 1),
        ("unetplusplus", "resnet18", 0),
        ("deeplabv3plus", "mobilenet_v2", 0),
    ],
)
def test_same_logits(architecture: str, encoder: str, left: int) -> None:
    network = with_statistics(build_network(ModelSpec(architecture=architecture, encoder=encoder)))
    made = inference_network(network, CPU, None)
    assert count(made) == left < count(network)
    assert difference(network, made) < 1e-4


def test_the_original_stays_as_it_is() -> None:
    network = with_statistics(build_network(ModelSpec())).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = inference_network(network, CPU, torch.bfloat16)
    assert network.training
    assert not made.training
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(value.dtype != torch.bfloat16 for value in after.values())


def test_made_once_and_made_anew_when_weights_change() -> None:
    network = with_statistics(build_network(ModelSpec(encoder="resnet18")))
    made = inference_network(network, CPU, None)
    assert inference_network(network, CPU, None) is made
    assert inference_network(network, CPU, torch.bfloat16) is not made

    made = inference_network(network, CPU, None)
    with torch.no_grad():
        network.head.bias.add_(1)
    changed = inference_network(network, CPU, None)
    assert changed is not made
    assert difference(network, changed) < 1e-4 < difference(network, made)

    network.load_state_dict({key: value * 0.9 for key, value in network.state_dict().items()})
    assert difference(network, inference_network(network, CPU, None)) < 1e-4


def test_trained_on_between_two_predictions() -> None:
    network = build_network(ModelSpec(encoder="resnet18"))
    model = Model("lab", network, ModelSpec(encoder="resnet18"))
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    before = segment(image, model, precision="float32").probability
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    network.train()
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    after = segment(image, model, precision="float32").probability
    fresh = build_network(ModelSpec(encoder="resnet18"))
    fresh.load_state_dict(network.state_dict())
    expected = segment(image, Model("copy", fresh, model.spec), precision="float32").probability
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, expected, atol=1e-6)


def test_forgotten_with_the_original() -> None:
    network = build_network(ModelSpec(encoder="resnet18"))
    made = weakref.ref(inference_network(network, CPU, None))
    assert made() is not None
    del network
    gc.collect()
    assert made() is None


def test_weights_made_in_inference_mode_are_not_remembered() -> None:
    with torch.inference_mode():
        network = build_network(ModelSpec(encoder="resnet18"))
        made = inference_network(network, CPU, None)
        network.head.bias.add_(1)
        assert inference_network(network, CPU, None) is not made


def test_hooks_see_the_network_itself() -> None:
    network = build_network(ModelSpec(encoder="resnet18"))
    shapes = []
    network.register_forward_hook(lambda _, inputs, __: shapes.append(inputs[0].shape))
    model = Model("lab", network, ModelSpec(encoder="resnet18"))
    segment(np.random.default_rng(0).random((64, 96)).astype(np.float32), model)
    assert shapes == [(1, 3, 64, 96)]
    assert inference_network(network, CPU, None) is network


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.other = nn.BatchNorm2d(3)


class _AlsoUsedElsewhere(_Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        return self.norm(y) + 2 * y


class _TwoNorms(_Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        return self.norm(y) - 2 * self.other(y)


class _Twice(_Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(self.norm(self.convolution(x))))


class _Grouped(_Block):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(3, 3, 2, 2, groups=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x))


class _OwnStatistics(_Block):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x))


@pytest.mark.parametrize("kind", [_AlsoUsedElsewhere, _TwoNorms, _Twice, _Grouped, _OwnStatistics])
def test_what_cannot_be_folded_is_left(kind: type[_Block]) -> None:
    network = kind()
    if kind is not _OwnStatistics:
        with_statistics(network)
    made = inference_network(network, CPU, None)
    assert count(made) == count(network)
    assert difference(network, made) < 1e-5
