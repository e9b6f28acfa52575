"""A classifier of micrographs and its optimiser: one step at a time."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_micro_ktnet.errors import TrainingError
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.network import pad_to_stride
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.model.weights import imagenet_state_dict, load_encoder_weights, read_state_dict
from napari_micro_ktnet.predict.device import autocast_dtype, is_out_of_memory, pick_device
from napari_micro_ktnet.predict.runner import normalise
from napari_micro_ktnet.training.class_folders import ClassSampler
from napari_micro_ktnet.training.fast_layers import use_fast_layers
from napari_micro_ktnet.training.pretrain_config import PretrainConfig
from napari_micro_ktnet.training.schedule import warm_cosine
from napari_micro_ktnet.training.start import encoder_normalization


class Classifier(nn.Module):
    """An encoder, global average pooling over its last feature map, and a linear layer.

    Parameters
    ----------
    encoder : nn.Module
        Of segmentation-models-pytorch.
    classes : int
        Number of classes.
    """

    def __init__(self, encoder: nn.Module, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(cast("list[int]", encoder.out_channels)[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Turn normalised images ``(N, 3, Y, X)`` into logits ``(N, classes)``."""
        deepest: Tensor = self.encoder(pad_to_stride(x))[-1]
        return cast("Tensor", self.head(deepest.mean((2, 3))))


class ClassTrainer:
    """Classifier and optimiser. Step `n` depends on the state after step `n - 1` and on nothing else.

    Parameters
    ----------
    config : PretrainConfig
        All settings; the encoder's name is canonical.
    classes : int
        Number of classes.

    Attributes
    ----------
    network : Classifier
        On the device.
    normalization : Normalization
        How grey values become its input.
    """

    def __init__(self, config: PretrainConfig, classes: int) -> None:
        self.config = config
        self.normalization: Normalization = encoder_normalization(config.encoder)
        self.device = pick_device(config.device)
        # float16 would need loss scaling.
        self.reduced = autocast_dtype(self.device, config.precision) == torch.bfloat16
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = Classifier(build_encoder(config.encoder), classes)
        if config.init != "random":
            imagenet = config.init == "imagenet"
            state = imagenet_state_dict(config.encoder) if imagenet else read_state_dict(config.init)
            load_encoder_weights(network.encoder, config.encoder, state, source=config.init)
        if self.device.type == "cpu":
            use_fast_layers(network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )

    def logits(self, grey: Tensor) -> Tensor:
        """Classify stretched crops ``(N, Y, X)``; the result ``(N, classes)`` is float32."""
        x = normalise(grey.to(self.device), self.normalization)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
            logits: Tensor = self.network(x)
        return logits.float()

    def step(self, step: int, sampler: ClassSampler) -> float:
        """Take step `step`, counted from 1, and give its loss.

        Raises
        ------
        TrainingError
            The loss is no longer a number, or memory does not suffice.
        """
        try:
            value = self._step(step, *sampler.batch(step))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"Memory ran out with {self.config.batch_size} crops of {self.config.crop} x "
                f"{self.config.crop} pixels a step. Choose smaller crops, a smaller batch or a "
                "lighter encoder."
            ) from error
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} at step {step}; the best encoder so far is kept. Begin again with "
                "a lower learning rate, or with precision float32."
            )
        return value

    def _step(self, step: int, grey: Tensor, classes: Tensor) -> float:
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * warm_cosine(step - 1, self.config.steps)
        self.optimizer.zero_grad(set_to_none=True)
        # Dropout and stochastic depth must not depend on what was drawn before.
        seed = int(np.random.SeedSequence((self.config.seed, step)).generate_state(1)[0])
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            loss = F.cross_entropy(self.logits(grey), classes.to(self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())
