"""Networks as they are run: copies that compute the same in less time.

Batch normalisation is folded into the convolutions before it, weights are rounded once, and global means are
taken in a faster way.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv2d | nn.ConvTranspose2d

_PROBE_SIDE = 64
# Of the largest logit. Folding changes roundings (1e-5), a convolution that is used twice changes everything.
_TOLERANCE = 1e-2


class _GlobalMean(nn.AdaptiveAvgPool2d):
    """The mean as that of one window, two to nine times as fast in bfloat16 and channels-last order."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, x.shape[2:])


@dataclass(frozen=True)
class _Kept:
    """A copy, and what it was made from."""

    state: tuple[tuple[int, int], ...]
    place: tuple[torch.device, torch.dtype | None]
    network: nn.Module


_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def inference_network(network: nn.Module, device: torch.device, dtype: torch.dtype | None) -> nn.Module:
    """Give the network that computes the same as another one in evaluation mode, only faster.

    It is made once and made anew when weights have changed. Where there is nothing to fold, and where hooks
    or a replaced method want to see the network itself run, that one is moved to the device and given.

    Parameters
    ----------
    network : nn.Module
        Takes ``(N, 3, Y, X)``. If it is copied it is left as it is and where it is.
    device : torch.device
        Where the copy lies.
    dtype : torch.dtype or None
        What autocast will compute in; weights of convolutions are rounded to it once, not in every pass.

    Returns
    -------
    nn.Module
        In evaluation mode, channels last in memory.
    """
    # Channels-last is the layout that convolutions are fastest in, on every device.
    if not _can_be_copied(network):
        return network.to(device).to(memory_format=torch.channels_last).eval()
    place = (device, dtype)
    state = _state_of(network)
    kept = _kept.get(network)
    if kept is not None and (kept.state, kept.place) == (state, place):
        return kept.network
    made = _folded(network).to(device)
    for module in made.modules():
        if dtype is not None and type(module) in (nn.Conv2d, nn.ConvTranspose2d):
            module.to(dtype)
        elif device.type == "cpu" and is_global_mean(module):
            module.__class__ = _GlobalMean
    made = made.to(memory_format=torch.channels_last)
    if state:
        _kept[network] = _Kept(state, place, made)
    return made


def _can_be_copied(network: nn.Module) -> bool:
    modules = list(network.modules())
    watched = any(m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in modules)
    return not watched and any(isinstance(m, nn.BatchNorm2d) for m in modules)


def is_global_mean(module: nn.Module) -> bool:
    """Whether a module is torch's own mean over all pixels of each channel."""
    return type(module) is nn.AdaptiveAvgPool2d and module.output_size in {1, (1, 1)}


def _state_of(network: nn.Module) -> tuple[tuple[int, int], ...]:
    """Where the weights lie and how often each was changed; empty where torch does not count changes."""
    tensors = [*network.parameters(), *network.buffers()]
    if any(tensor.is_inference() for tensor in tensors):
        return ()
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)


@torch.no_grad()
def _folded(network: nn.Module) -> nn.Module:
    """Copy a network and fold what can be folded; without folding where the result would differ.

    After normalisation with fixed statistics a convolution is still one (Jacob et al. 2018, CVPR,
    arXiv:1712.05877, section 3.2).
    """
    folded = copy.deepcopy(network).cpu().eval()
    probe = torch.linspace(-2, 2, 3 * _PROBE_SIDE**2).reshape(1, 3, _PROBE_SIDE, _PROBE_SIDE)
    pairs, expected = _find_pairs(folded, probe)
    for convolution, name in pairs:
        norm = folded.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101 - for the type checker
        _fold(convolution, norm)
        # Some encoders have normalisations that activate, too.
        rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
        folded.set_submodule(name, nn.Sequential(*rest))
    found: Tensor = folded(probe)
    if bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max()):
        return folded
    return copy.deepcopy(network).cpu().eval()


def _find_pairs(network: nn.Module, probe: Tensor) -> tuple[list[tuple[Convolution, str]], Tensor]:
    """Run a network once to see which normalisation takes what which convolution gives."""
    names = {module: name for name, module in network.named_modules()}
    given: dict[int, tuple[Convolution, Tensor]] = {}
    pairs: list[tuple[Convolution, str]] = []

    def after(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, Convolution)  # noqa: S101 - for the type checker
        # The tensor is kept, or another one could get its number.
        given[id(output)] = (module, output)

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in given:
            pairs.append((given[id(inputs[0])][0], names[module]))

    hooks = []
    for module in names:
        if isinstance(module, nn.Conv2d) or (isinstance(module, nn.ConvTranspose2d) and module.groups == 1):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(before))
    output: Tensor = network(probe)
    for hook in hooks:
        hook.remove()
    once = [pair for pair in pairs if sum(pair[0] is p[0] or pair[1] == p[1] for p in pairs) == 1]
    return once, output


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None  # noqa: S101 - for the type checker
    assert norm.running_var is not None  # noqa: S101 - for the type checker
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(convolution, nn.ConvTranspose2d),
    )
