"""Where a training run starts from: random, ImageNet, MicroNet, a model, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from napari_micro_ktnet.errors import ModelError
from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.checkpoint import read_checkpoint_info
from napari_micro_ktnet.model.encoders import LITE0, canonical_encoder
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.model.spec import ModelSpec, Normalization
from napari_micro_ktnet.model.weights import (
    LITE0_MEAN,
    LITE0_STD,
    imagenet_state_dict,
    load_encoder_weights,
    read_state_dict,
)
from napari_micro_ktnet.training.config import TrainingConfig, without_folders
from napari_micro_ktnet.training.dataset import ImagePair


def start_network(config: TrainingConfig, pairs: Sequence[ImagePair]) -> tuple[nn.Module, ModelSpec]:
    """Build the network of a run and give it its starting weights.

    Parameters
    ----------
    config : TrainingConfig
        Architecture, encoder, classes, and `init`.
    pairs : sequence of ImagePair
        Their common pixel size becomes the model's.

    Returns
    -------
    network : nn.Module
        On the CPU.
    spec : ModelSpec
        What it is.

    Raises
    ------
    ModelError
        The start is unknown, or its weights do not fit.
    """
    torch.manual_seed(config.seed)
    encoder = canonical_encoder(config.encoder)
    spec = ModelSpec(
        architecture=config.architecture,
        encoder=encoder,
        upsampling=config.upsampling,
        scse=config.scse,
        classes=config.classes,
        normalization=encoder_normalization(encoder),
        pixel_size_nm=_common_pixel_size(pairs),
        origin=f"trained from {without_folders(config.init)}",
    )
    network = build_network(spec)
    if config.init == "random":
        return network, spec
    if config.init == "imagenet":
        state = imagenet_state_dict(encoder)
        load_encoder_weights(encoder_of(network), encoder, state, source="imagenet")
        return network, spec
    if config.init in ("micronet", "imagenet-micronet"):
        from napari_micro_ktnet.model.fetch import cached_micronet

        path = cached_micronet(encoder, config.init)
        load_encoder_weights(encoder_of(network), encoder, read_state_dict(path), source=str(path))
        return network, spec
    return _from_file(config.init, network, spec)


def _from_file(init: str, network: nn.Module, spec: ModelSpec) -> tuple[nn.Module, ModelSpec]:
    """Start from a model by name or path, or from encoder weights by path."""
    path = Path(init)
    if path.is_file() and not _is_model(path):
        load_encoder_weights(encoder_of(network), spec.encoder, read_state_dict(path), source=init)
        return network, spec
    model = load_model(init)
    same = ("architecture", "encoder", "upsampling", "scse")
    differing = [name for name in same if getattr(model.spec, name) != getattr(spec, name)]
    if differing:
        raise ModelError(
            f"The model {init!r} cannot be the start: it differs in {', '.join(differing)} "
            f"({', '.join(str(getattr(model.spec, n)) for n in differing)} instead of "
            f"{', '.join(str(getattr(spec, n)) for n in differing)}). Train with the same settings."
        )
    state = model.network.state_dict()
    if model.spec.channels != spec.channels:
        # Another number of classes: keep all that was learnt but the last layer.
        own = network.state_dict()
        state = {k: v if v.shape == own[k].shape else own[k] for k, v in state.items()}
    network.load_state_dict(state)
    kept = ("normalization", "orientations", "licence")
    spec = spec.model_copy(update={name: getattr(model.spec, name) for name in kept})
    return network, spec


def encoder_normalization(encoder: str) -> Normalization:
    """Say how grey values become input of an encoder (its canonical name) that is yet to be trained."""
    return Normalization(mean=LITE0_MEAN, std=LITE0_STD) if encoder == LITE0 else Normalization()


def _is_model(path: Path) -> bool:
    try:
        read_checkpoint_info(path)
    except ModelError:
        return False
    return True


def encoder_of(network: nn.Module) -> nn.Module:
    """Give the encoder inside any network of `build_network`."""
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)  # noqa: S101 - for the type checker
    return encoder


def _common_pixel_size(pairs: Sequence[ImagePair]) -> tuple[float, float] | None:
    """Pixel size of all images if they share one to 5 %, else None."""
    sizes = [pair.pixel_size for pair in pairs]
    known = [s for s in sizes if s is not None]
    if not known or len(known) < len(sizes):
        return None
    first = known[0]
    alike = all(abs(s[i] / first[i] - 1) <= 0.05 for s in known for i in (0, 1))
    return first if alike else None
