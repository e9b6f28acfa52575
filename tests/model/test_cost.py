from __future__ import annotations

import pytest

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.cost import network_cost
from napari_micro_ktnet.model.spec import ModelSpec

ENCODER = "mobilenet_v2"


def test_parameters_are_those_of_the_network() -> None:
    spec = ModelSpec(encoder=ENCODER)
    assert network_cost(spec).parameters == sum(p.numel() for p in build_network(spec).parameters())


@pytest.mark.parametrize(("scse", "extra"), [(False, 0), (True, 1)])
def test_operations_of_the_attention_by_hand(scse: bool, extra: int) -> None:
    plain = network_cost(ModelSpec(encoder=ENCODER, scse=False)).flops
    # Per block of c channels and side s: 1 x 1 convolution to one channel over the map, and two narrow
    # ones over a single pixel; 2 operations for each product.
    blocks = [(256, 32), (128, 64), (64, 128), (32, 256), (16, 512)]
    attention = sum(2 * c * s * s + 4 * c * max(1, c // 16) for c, s in blocks)
    assert network_cost(ModelSpec(encoder=ENCODER, scse=scse)).flops == plain + extra * attention
