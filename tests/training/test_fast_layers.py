"""Layers computed another way give the same results and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_micro_ktnet.model.network import MicroKTNet
from napari_micro_ktnet.training.fast_layers import use_fast_layers

LAYERS = {
    "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8),
    "pointwise": nn.Conv2d(8, 65_536, 1),
    "transposed": nn.ConvTranspose2d(8, 6, 2, stride=2),
    "transposed without bias": nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False),
    "average": nn.AdaptiveAvgPool2d(1),
}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_same_results_and_gradients(name: str, reduced: bool, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(copy.deepcopy(LAYERS[name])).to(memory_format=memory_format)
    fast = copy.deepcopy(plain)
    use_fast_layers(fast)
    assert type(fast[0]) is not type(plain[0])
    assert list(fast.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 8, 9, 7).to(memory_format=memory_format)
    found = []
    for network in (plain, fast):
        own = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            y = network(own).float()
        y.square().sum().backward()
        found.append([y.detach(), own.grad, *(p.grad for p in network.parameters())])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        # bfloat16 has 8 bits of precision, and sums of it are rounded in another order.
        assert float((one - other).norm() / one.norm()) < (0.02 if reduced else 1e-6)


def test_gradient_of_a_dilated_depthwise_convolution_on_a_large_map() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=2, dilation=2, groups=64, bias=False)
    use_fast_layers(layer)
    layer.to(memory_format=torch.channels_last)
    x = torch.randn(4, 64, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).float().sum().backward()
    # The gradient of a sum by a weight is the sum of all inputs that it multiplies.
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    for row in range(3):
        for column in range(3):
            expected = padded[..., 2 * row : 2 * row + 32, 2 * column : 2 * column + 32].sum((0, 2, 3))
            assert layer.weight.grad is not None
            torch.testing.assert_close(layer.weight.grad[:, 0, row, column], expected, rtol=1e-3, atol=0.1)


def test_depthwise_convolutions_stay_in_float32() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 5, groups=8), nn.Conv2d(8, 4, 1))
    use_fast_layers(network)
    with torch.autocast("cpu", torch.bfloat16):
        middle = network[0](torch.randn(1, 8, 9, 9))
        assert middle.dtype == torch.float32
        assert network[1](middle).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, stride=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, output_padding=1),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(1024, 1024, 1, stride=2),
        nn.Conv2d(2048, 1024, 1, groups=2),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    before = type(layer)
    use_fast_layers(layer)
    assert type(layer) is before


def test_a_whole_network_gives_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = MicroKTNet("se_resnext50_32x4d").to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    use_fast_layers(fast)
    x = torch.randn(1, 3, 64, 64)
    for network in (plain, fast):
        network(x).square().mean().backward()
    largest = max(float(p.grad.abs().max()) for p in plain.parameters() if p.grad is not None)
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        if one.grad is not None:
            assert other.grad is not None, name
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5 * largest, msg=name)
