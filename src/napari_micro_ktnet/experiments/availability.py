"""Whether the weights that an entry starts from can be had."""

from __future__ import annotations

from pathlib import Path

from napari_micro_ktnet.errors import WeightsError
from napari_micro_ktnet.experiments.entries import STARTS
from napari_micro_ktnet.model.fetch import cached_micronet, fetch
from napari_micro_ktnet.model.micronet import VARIANTS
from napari_micro_ktnet.model.registry import STARTER
from napari_micro_ktnet.model.weights import imagenet_state_dict
from napari_micro_ktnet.training.config import TrainingConfig


def why_not_available(training: TrainingConfig, *, fetch_weights: bool = False) -> str:
    """Say why the starting weights cannot be had; empty where they can.

    Parameters
    ----------
    training : TrainingConfig
        Encoder and start.
    fetch_weights : bool
        Go online for published weights that are not in the cache.
    """
    try:
        if training.init == "imagenet":
            imagenet_state_dict(training.encoder)
        elif training.init in VARIANTS:
            if fetch_weights:
                fetch(training.encoder, training.init)
            cached_micronet(training.encoder, training.init)
    except WeightsError as error:
        return str(error)
    if training.init not in (*STARTS, STARTER) and not Path(training.init).is_file():
        return f"There is no file {training.init}."
    return ""
