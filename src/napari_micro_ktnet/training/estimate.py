"""How long a run will take and how much memory, measured on its first steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.start import start_network
from napari_micro_ktnet.training.trainer import Trainer, make_fabric
from napari_micro_ktnet.training.validation import evaluate_pairs

# The first steps allocate and choose algorithms.
_WARM_UP, _MEASURED = 1, 3


@dataclass(frozen=True)
class Estimate:
    """What a run costs on this machine, as busy as it is now.

    Attributes
    ----------
    step_s : float
        Seconds a step.
    validation_s : float
        Seconds a validation.
    total_s : float
        Seconds for all steps and validations of the configuration.
    memory_bytes : int
        Most memory that was used: on the GPU by torch, else by the whole process; 0 where the
        operating system does not say.
    """

    step_s: float
    validation_s: float
    total_s: float
    memory_bytes: int


def estimate(
    training: Sequence[ImagePair], validation: Sequence[ImagePair], config: TrainingConfig
) -> Estimate:
    """Take the first steps of a run and a validation, and leave no trace.

    Parameters
    ----------
    training, validation : sequence of ImagePair
        Annotated images.
    config : TrainingConfig
        All settings; one device is measured.
    """
    config = config.model_copy(update={"devices": 1, "nodes": 1})
    network, spec = start_network(config, training)
    fabric = make_fabric(config)
    trainer = Trainer(fabric, network, spec, config, CropSampler(training, spec.normalization, config))
    times = []
    for step in range(1, _WARM_UP + _MEASURED + 1):
        start = time.perf_counter()
        trainer.step(step)
        times.append(time.perf_counter() - start)
    step_s = float(np.median(times[_WARM_UP:]))
    start = time.perf_counter()
    # One image stands for all, or validating would take as long as it is meant to predict.
    evaluate_pairs(Model("estimate", trainer.averaged, spec), validation[:1], device=config.device)
    pixels = sum(pair.mask.size for pair in validation) / validation[0].mask.size
    validation_s = (time.perf_counter() - start) * pixels
    count = -(-config.steps // config.validate_every)
    return Estimate(
        step_s, validation_s, config.steps * step_s + count * validation_s, peak_memory(fabric.device)
    )


def steps_within(seconds: float, measured: Estimate, config: TrainingConfig) -> int:
    """Give the number of steps, validations included, that fit into a time; at least one."""
    return max(1, int(seconds / (measured.step_s + measured.validation_s / config.validate_every)))


def peak_memory(device: torch.device) -> int:
    """Most bytes that were used: on the GPU by torch, else by the whole process; 0 where unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
