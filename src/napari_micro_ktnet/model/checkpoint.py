"""One safetensors file that carries a model: weights, specification and history.

The header of a safetensors file is plain JSON and its body plain numbers: opening one runs no
code. Weights are read only by `load_network`; everything else works without torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from napari_micro_ktnet.errors import ModelError, UnsafeFileError
from napari_micro_ktnet.files import replacing, unreadable
from napari_micro_ktnet.model.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

_KEY = "micro_ktnet"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


class HistoryEntry(BaseModel):
    """One thing that happened to the weights, oldest first in a checkpoint.

    Attributes
    ----------
    what : str
        E.g. ``"trained"``.
    when : str
        ISO 8601 date and time.
    details : dict
        Data, seeds, settings and scores, as far as they are known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    when: str
    details: dict[str, Any] = {}


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ModelSpec
    history: tuple[HistoryEntry, ...] = ()


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself, without its weights.

    Attributes
    ----------
    path : Path
        The file.
    spec : ModelSpec
        Architecture, classes, normalisation, origin, licence.
    history : tuple of HistoryEntry
        Oldest first.
    """

    path: Path
    spec: ModelSpec
    history: tuple[HistoryEntry, ...]


def read_checkpoint_info(path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read specification and history of a checkpoint; torch is not needed.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file written by `save_checkpoint`.

    Raises
    ------
    UnsafeFileError
        The file is a pickle or a zip of pickles.
    ModelError
        The file is missing, damaged, or not a model of this package.
    """
    path = Path(path)
    problem = unreadable(path)
    if problem:
        raise ModelError(
            f"No model file can be read at {path} ({problem}). Expected a .safetensors file written by "
            "`micro-ktnet train`; `micro-ktnet models list` shows the models that are known by name."
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        _refuse_pickle(path)
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}). It may be damaged or something else: "
            "copy it again, or choose a model that `micro-ktnet train` wrote."
        ) from error
    if _KEY not in metadata:
        raise ModelError(
            f"{path} is a safetensors file without the record of a Micro-KTNet model. Expected a model that "
            "`micro-ktnet train` wrote; encoder weights are read with `micro-ktnet models import`."
        )
    try:
        header = _Header.model_validate_json(metadata[_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise ModelError(
            f"The model record in {path} is not valid{where}: {first['msg']}. "
            "It may come from a newer version of napari-micro-ktnet: update, or train again."
        ) from error
    return CheckpointInfo(path, header.spec, header.history)


def _refuse_pickle(path: Path) -> None:
    """Say so if a file that is no safetensors file is a pickle; it is not unpickled."""
    # A safetensors file may begin with the same byte by chance, so this is asked only afterwards.
    with path.open("rb") as file:
        start = file.read(4)
    if start == _ZIP or start[:1] == _PICKLE:
        raise UnsafeFileError(
            f"{path} is a Python pickle, which could run any code when opened, so it was not opened. "
            "Expected a .safetensors model of this package; encoder weights are read with "
            "`micro-ktnet models import`."
        )


def load_network(info: CheckpointInfo) -> nn.Module:
    """Build the network of a checkpoint and load its weights, all of them or none.

    Parameters
    ----------
    info : CheckpointInfo
        From `read_checkpoint_info`.

    Returns
    -------
    nn.Module
        On the CPU, float32, in evaluation mode.

    Raises
    ------
    WeightsError
        A tensor is missing, unknown, or of another shape than the network's; it is named.
    """
    import torch
    from safetensors.torch import load_file

    from napari_micro_ktnet.model.architectures import build_network
    from napari_micro_ktnet.model.weights import check_fit

    network = build_network(info.spec)
    try:
        tensors = load_file(info.path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"The weights in {info.path} cannot be read ({error}). Copy the file again."
        ) from error
    target = f"{info.spec.architecture} with the encoder {info.spec.encoder!r}"
    check_fit(network.state_dict(), tensors, target=target, source=str(info.path))
    network.load_state_dict(
        {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in tensors.items()}
    )
    return network.eval()


def save_checkpoint(
    path: str | os.PathLike[str],
    network: nn.Module,
    spec: ModelSpec,
    history: tuple[HistoryEntry, ...] = (),
    *,
    half: bool = False,
) -> Path:
    """Write a model to one safetensors file, under a temporary name first.

    Parameters
    ----------
    path : path
        Target file; replaced if it exists.
    network : nn.Module
        Built from `spec`.
    spec : ModelSpec
        Stored with the weights.
    history : tuple of HistoryEntry
        Stored with the weights, oldest first.
    half : bool
        Store parameters as float16 (half the size); the running statistics of batch
        normalisation stay float32, because their range does not fit.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import torch
    from safetensors.torch import save_file

    path = Path(path)
    parameters = {name for name, _ in network.named_parameters()}
    tensors = {
        k: v.detach().to("cpu", torch.float16 if half and k in parameters else v.dtype).contiguous()
        for k, v in network.state_dict().items()
    }
    header = _Header(spec=spec, history=history)
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={_KEY: header.model_dump_json()})
        except SafetensorError as error:
            # safetensors reports a failed write (disk full) as an error of its own.
            raise OSError(str(error)) from error
    return path
