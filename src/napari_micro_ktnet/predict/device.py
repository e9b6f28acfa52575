"""Which processor runs the network, and with which numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.predict.tiles import BUDGET

Precision = Literal["auto", "float32", "bfloat16"]

# The last one is how oneDNN, which computes on processors, says it; the one before it is of Windows.
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "could not create a primitive")


def pick_device(name: str = "auto") -> torch.device:
    """Turn a device name into a device that is there.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA, else MPS, else CPU), or a name as torch spells it, e.g. ``"cuda:1"``.

    Raises
    ------
    InputError
        The name is unknown, or no such device is there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"Unknown device {name!r}. Use auto, cpu, cuda, cuda:N or mps.") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise InputError(
            f"The device {name!r} is not on this machine (or torch was built without it). "
            "Use auto, which takes the best that is there, or cpu."
        )
    return device


def autocast_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype | None:
    """Choose the reduced precision to compute in, or None for float32.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` takes bfloat16 where the processor multiplies it natively (faster), else
        float32.
    """
    if precision == "float32":
        return None
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        # torch before 2.11 cannot say what the processor has; it stays with float32.
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
        return torch.bfloat16 if native else None
    return None


def tile_budget(device: torch.device) -> int:
    """Pixels per tile that the device computes fastest and that keep memory moderate."""
    return 2048 * 2048 if device.type == "cuda" else BUDGET


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on whichever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _NO_MEMORY)


@contextmanager
def explaining_memory(what: str) -> Iterator[None]:
    """Turn the errors of a memory that is too small for `what` into one that users understand.

    Raises
    ------
    InputError
        Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"There is not enough memory for {what}. Close other programs, or cut the image into parts."
        ) from error


def thread_count() -> int:
    """Processor threads that one operation uses."""
    return torch.get_num_threads()


def gpu_count() -> int:
    """CUDA devices that this process sees."""
    return torch.cuda.device_count()
