"""Settings of a run and where its images lie, as ``run.toml`` holds them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.training.config import DataConfig, TrainingConfig, preset, wrong_setting


class RunConfig(BaseModel):
    """Contents of ``run.toml``.

    Attributes
    ----------
    data : DataConfig, optional
        None for a run on images that only a program had in memory.
    training : TrainingConfig
        All settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    data: DataConfig | None = None
    training: TrainingConfig


def parse_config(path: Path) -> RunConfig:
    """Read a ``run.toml``; its folders may be relative to it, and its settings start from a preset.

    Raises
    ------
    InputError
        The file is missing or is no valid configuration; the setting is named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a training configuration ({error}). Expected a TOML file with the "
            "tables [data] and [training]."
        ) from error
    try:
        training = dict(content.pop("training", {}))
        content["training"] = preset(training.pop("preset", "quick"), **training)
        config = RunConfig.model_validate(content)
    except (ValidationError, TypeError, ValueError) as error:
        reason = wrong_setting(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{path}: {reason}") from error
    if config.data is None:
        return config
    base = path.resolve().parent
    folders = {
        n: base / v for n in ("images", "masks", "val_images", "val_masks") if (v := getattr(config.data, n))
    }
    return config.model_copy(update={"data": config.data.model_copy(update=folders)})
