"""Read a state dict from a file without executing what is in it."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_micro_ktnet.errors import UnsafeFileError, WeightsError
from napari_micro_ktnet.files import unreadable

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a file without ever executing what is in it.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or a file written by ``torch.save`` (``.pth``, ``.pt``, ``.pth.tar``)
        that holds a state dict, bare or under ``"state_dict"``, ``"model_state_dict"`` or
        ``"model"``. A ``module.`` prefix left by data-parallel training is taken off.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    UnsafeFileError
        The file would have to be unpickled: it names code. None of it was executed.
    WeightsError
        The file is missing, truncated, or holds no state dict.
    """
    path = Path(path)
    problem = unreadable(path)
    if problem:
        raise WeightsError(
            f"The weights file {path} cannot be read ({problem}). "
            "Give the path of a .pth, .pt or .safetensors file."
        )
    content = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    return _state_dict_of(content, path)


def _is_safetensors(path: Path) -> bool:
    # An imported file keeps its content but gets the published name, so the suffix says little:
    # a safetensors file starts with the length of its JSON header in 8 bytes, then the header.
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" or path.suffix.lower() == ".safetensors"


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors: {error}. "
            "It is truncated or another kind of file; get it anew."
        ) from error


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # It warns of a pickle protocol that it then refuses.
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" in str(error) or "GLOBAL" in str(error):
            raise UnsafeFileError(
                f"{path} holds more than tensors: reading it would execute code, so it was refused. "
                "Ask its author for a plain state dict or a .safetensors file."
            ) from error
        raise _not_weights(path, error) from error
    except Exception as error:
        # Damaged bytes make the reader fail in a dozen ways, assertions and struct errors among them.
        raise _not_weights(path, error) from error


def _not_weights(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} is not a file of weights, or is truncated ({type(error).__name__}). "
        "Expected what torch.save writes for a state dict, or a .safetensors file; get the file anew."
    )


def _state_dict_of(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
                break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(
            f"{path} holds a {type(content).__name__}, expected a state dict (names to tensors)."
        )
    other = [str(k) for k, v in content.items() if not (isinstance(k, str) and isinstance(v, Tensor))]
    if other:
        raise WeightsError(
            f"{path} is no state dict: {some_of(other)} is not a tensor. Expected names to tensors."
        )
    state = cast("dict[str, Tensor]", dict(content))
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def some_of(names: Iterable[str], count: int = 3) -> str:
    """First few of some names, for a message."""
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
