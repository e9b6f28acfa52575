"""Network, its moving average and its optimiser: one step at a time, on one or many devices."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from napari_micro_ktnet.errors import TrainingError
from napari_micro_ktnet.model.spec import ModelSpec
from napari_micro_ktnet.predict.device import autocast_dtype, is_out_of_memory, pick_device
from napari_micro_ktnet.predict.runner import normalise
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import CropSampler
from napari_micro_ktnet.training.fast_layers import use_fast_layers
from napari_micro_ktnet.training.losses import loss_from_sums, loss_sums
from napari_micro_ktnet.training.schedule import warm_cosine
from napari_micro_ktnet.training.start import encoder_of


def make_fabric(config: TrainingConfig) -> Fabric:
    """Set up the devices of a run; with several, every process calls this and then `launch`.

    Parameters
    ----------
    config : TrainingConfig
        `device`, `devices`, `nodes` and `precision`.
    """
    device = pick_device(config.device)
    # float16 would need loss scaling, whose state is one more thing to resume.
    reduced = autocast_dtype(device, config.precision) == torch.bfloat16
    one = config.devices * config.nodes == 1
    return Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" and config.devices == 1 else config.devices,
        num_nodes=config.nodes,
        # Some encoders carry layers that no decoder uses.
        strategy="auto" if one else "ddp_find_unused_parameters_true",
        precision="bf16-mixed" if reduced else "32-true",
    )


class Trainer:
    """What changes during training. Step `n` depends on the state after step `n - 1` and on nothing else.

    Parameters
    ----------
    fabric : Fabric
        Launched.
    network : nn.Module
        With its starting weights, on the CPU.
    spec : ModelSpec
        Says how grey values are normalised.
    config : TrainingConfig
        All settings.
    sampler : CropSampler
        Draws the batches.

    Attributes
    ----------
    averaged : nn.Module
        Moving average of the weights, the network to validate and to save.
    batch_size : int
        Crops per step, of all processes together.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        spec: ModelSpec,
        config: TrainingConfig,
        sampler: CropSampler,
    ) -> None:
        self.fabric, self.spec, self.config, self.sampler = fabric, spec, config, sampler
        self.batch_size = config.batch_size
        if config.batch_size < fabric.world_size:
            raise TrainingError(
                f"A batch of {config.batch_size} cannot be shared by {fabric.world_size} devices. "
                "Choose a larger batch, or fewer devices."
            )
        if fabric.device.type == "cpu":
            use_fast_layers(network)
        encoder_of(network).requires_grad_(not config.freeze_encoder)
        self.network = network.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(network).to(fabric.device).eval() if config.ema else network
        self.optimizer = _optimizer(network, config, fused=fabric.device.type == "cpu")
        self._module, self._stepper = fabric.setup(network, self.optimizer)

    def step(self, step: int) -> tuple[float, int]:
        """Take step `step`, counted from 1.

        Returns
        -------
        loss : float
            Over the batches of all devices.
        batch_size : int
            Smaller than before where memory ran out; the step was then repeated with it.

        Raises
        ------
        TrainingError
            The loss is no longer a number, or memory does not suffice for one crop a device.
        """
        while True:
            try:
                return self._step(step), self.batch_size
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.fabric.world_size > 1 or self.batch_size == 1:
                    raise TrainingError(
                        f"Memory ran out with {self.batch_size} crops of {self.config.crop} x "
                        f"{self.config.crop} pixels a step. Choose smaller crops, a smaller batch or a "
                        "lighter encoder."
                    ) from error
                self.batch_size = max(1, self.batch_size // 2)
                self.optimizer.zero_grad(set_to_none=True)
                if self.fabric.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _step(self, step: int) -> float:
        rank, world = self.fabric.global_rank, self.fabric.world_size
        grey, target = self.sampler.batch(step, range(rank, self.batch_size, world))
        grey, target = self.fabric.to_device((grey, target))
        self._set_modes()
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self._rate(step - 1)
        self.optimizer.zero_grad(set_to_none=True)
        # Dropout and stochastic depth must not depend on what was drawn before.
        seed = int(np.random.SeedSequence((self.config.seed, step, rank)).generate_state(1)[0])
        cuda = [self.fabric.device] if self.fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            logits = self._module(normalise(grey, self.spec.normalization))
        own = loss_sums(logits, target)
        total = self.fabric.all_reduce(own.detach().clone(), reduce_op="sum")
        assert isinstance(total, Tensor)  # noqa: S101 - for the type checker
        # The value is that of all devices, the gradient that of the own part.
        loss = loss_from_sums(total + (own - own.detach()), self.config.bce, self.config.dice)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} at step {step}; the last good state and the best model are kept. "
                "Begin a new run from that model with lower learning rates, or with precision float32."
            )
        # Gradients are averaged over the devices, the loss is a sum over them.
        self.fabric.backward(loss * world)
        self._stepper.step()
        self._average(step)
        return value

    def _set_modes(self) -> None:
        self.network.train()
        if self.config.freeze_encoder:
            encoder_of(self.network).eval()
        if self.config.freeze_batchnorm:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def _rate(self, done: int) -> float:
        """Share of the peak learning rate after `done` steps."""
        return 1.0 if self.config.schedule == "constant" else warm_cosine(done, self.config.steps)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        if self.averaged is self.network:
            return
        # A short memory at first, else the random start would linger.
        decay = min(self.config.ema, step / (step + 10))
        current = self.network.state_dict()
        for key, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[key], 1 - decay)
            else:
                value.copy_(current[key])

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by name; live, not copied."""
        return dict(self._named_tensors())

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from ((f"network/{k}", v) for k, v in self.network.state_dict().items())
        if self.averaged is not self.network:
            yield from ((f"averaged/{k}", v) for k, v in self.averaged.state_dict().items())
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                yield f"optimizer/{key}/{name}", value

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the state that `tensors` gave.

        Raises
        ------
        TrainingError
            The tensors are not those of this network.
        """
        own = {k: v for k, v in self._named_tensors() if not k.startswith("optimizer/")}
        optimizer = {k: v for k, v in tensors.items() if k.startswith("optimizer/")}
        names = dict(self.network.named_parameters())
        wrong = set(own) ^ (set(tensors) - set(optimizer))
        wrong |= {k for k in set(own) & set(tensors) if own[k].shape != tensors[k].shape}
        wrong |= {k for k in optimizer if k.split("/", 2)[2] not in names}
        if wrong:
            raise TrainingError(
                f"The saved state does not fit the network of this run ({min(wrong)!r} differs). "
                "The run directory was changed by hand or is corrupt: begin a new run."
            )
        for key, value in own.items():
            value.copy_(tensors[key])
        for key, value in optimizer.items():
            _, what, name = key.split("/", 2)
            parameter = names[name]
            kept = value if what == "step" else torch.empty_like(parameter).copy_(value)
            self.optimizer.state[parameter][what] = kept


def _optimizer(network: nn.Module, config: TrainingConfig, fused: bool) -> torch.optim.Optimizer:
    encoder = list(encoder_of(network).parameters())
    inside = {id(p) for p in encoder}
    rest = [p for p in network.parameters() if id(p) not in inside]
    groups = [{"params": rest, "lr": config.lr_decoder, "peak": config.lr_decoder}]
    if not config.freeze_encoder:
        groups.insert(0, {"params": encoder, "lr": config.lr_encoder, "peak": config.lr_encoder})
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, fused=fused)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=fused)
