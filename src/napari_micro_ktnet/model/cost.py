"""What a network costs, counted and not measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.spec import ModelSpec

COST_SIDE = 512
"""Side of the image in pixels that operations are counted for."""


@dataclass(frozen=True)
class NetworkCost:
    """Size and work of a network.

    Attributes
    ----------
    parameters : int
        Numbers that training changes.
    flops : int
        Floating-point operations of one forward pass over one image of 512 x 512 pixels.
    """

    parameters: int
    flops: int


def network_cost(spec: ModelSpec) -> NetworkCost:
    """Count the parameters and operations of a network; no memory is taken and nothing is computed.

    Parameters
    ----------
    spec : ModelSpec
        The network.

    Returns
    -------
    NetworkCost
        Operations are those of convolutions and matrix products, a multiplication and an addition
        counting as two (`torch.utils.flop_counter`).

    Raises
    ------
    ModelError
        The encoder is unknown, or cannot be used in this architecture.
    """
    with torch.device("meta"):
        network = build_network(spec).eval()
        image = torch.empty(1, 3, COST_SIDE, COST_SIDE)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return NetworkCost(sum(p.numel() for p in network.parameters()), counter.get_total_flops())
