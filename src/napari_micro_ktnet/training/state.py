"""The saved state of a run: one safetensors file, which runs no code when opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_micro_ktnet.errors import TrainingError
from napari_micro_ktnet.files import replacing

_KEY = "micro_ktnet_run"


class Progress(BaseModel):
    """How far a run is.

    Attributes
    ----------
    step : int
        Steps done.
    batch_size : int
        Crops per step; smaller than planned where memory ran out.
    best : float
        Best validation score so far, -1 before the first.
    since_best : int
        Validations since then.
    losses : tuple of float
        Training losses of the steps since the last validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    step: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)]
    best: float = -1.0
    since_best: Annotated[int, Field(ge=0)] = 0
    losses: tuple[float, ...] = ()


def save_state(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write a state, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    own = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(own, temporary, metadata={_KEY: progress.model_dump_json()})
        except SafetensorError as error:
            # safetensors reports a failed write (disk full) as an error of its own.
            raise OSError(str(error)) from error


def read_state(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Read a state.

    Raises
    ------
    TrainingError
        The file is damaged or is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress.model_validate_json((file.metadata() or {})[_KEY])
            return {key: file.get_tensor(key) for key in file.keys()}, progress  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValidationError) as error:
        raise TrainingError(
            f"The saved state {path} is corrupt ({str(error).splitlines()[0]}). Delete it to begin this run "
            "from the first step, or begin a new run from the best model (--init)."
        ) from error
