"""From a model's specification to its network."""

from __future__ import annotations

import warnings

import segmentation_models_pytorch as smp
from torch import nn

from napari_micro_ktnet.errors import ModelError
from napari_micro_ktnet.model.encoder_networks import build_encoder, set_tensorflow_epsilon
from napari_micro_ktnet.model.network import MicroKTNet, PaddedNetwork
from napari_micro_ktnet.model.spec import ModelSpec

_COMPARISON = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "manet": smp.MAnet,
    "linknet": smp.Linknet,
    "fpn": smp.FPN,
    "pspnet": smp.PSPNet,
    "deeplabv3": smp.DeepLabV3,
    "deeplabv3plus": smp.DeepLabV3Plus,
}


def build_network(spec: ModelSpec) -> nn.Module:
    """Build the network of a specification with random weights, offline.

    Parameters
    ----------
    spec : ModelSpec
        Architecture, encoder and classes.

    Returns
    -------
    nn.Module
        Takes ``(N, 3, Y, X)`` of any size and gives logits ``(N, spec.channels, Y, X)``; its
        ``encoder`` attribute takes encoder weights.

    Raises
    ------
    ModelError
        The encoder is unknown, or cannot be used in this architecture.
    """
    if spec.architecture == "micro-ktnet":
        return MicroKTNet(spec.encoder, spec.channels, upsampling=spec.upsampling, scse=spec.scse)
    build_encoder(spec.encoder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", category=DeprecationWarning, module="segmentation_models_pytorch"
            )
            network = _COMPARISON[spec.architecture](
                encoder_name=spec.encoder, encoder_weights=None, in_channels=3, classes=spec.channels
            )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"The encoder {spec.encoder!r} cannot be used in {spec.architecture!r}: {error}. "
            "Choose another encoder or the architecture 'micro-ktnet'."
        ) from error
    set_tensorflow_epsilon(network.encoder, spec.encoder)
    return PaddedNetwork(network)
