"""Settings of an experiment, as they are written to disk."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.training.config import Channel, TrainingConfig

TableName = Literal["architectures", "ablation", "encoders", "batch-size", "training-size"]
TABLES: tuple[TableName, ...] = get_args(TableName)
SWEEPS = ("batch-size", "training-size")
"""Tables whose entries are numbers."""

_FOLDERS = ("images", "masks", "test_images", "test_masks")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExperimentData(_Frozen):
    """Where the annotated images lie.

    Attributes
    ----------
    images, masks : Path
        Folders; files belong together when their stems are equal, ``_mask`` and ``_labels`` at the
        end ignored. In a file: relative to it.
    test_images, test_masks : Path, optional
        The same for a fixed test set. Without them, the images are cross-validated.
    mask_colors : mapping of str to (red, green, blue)
        Class names and their colours in RGB masks; any other colour is matrix.
    class_names : tuple of str
        Names of the classes besides matrix, in the order of their numbers.
    """

    images: Path
    masks: Path
    test_images: Path | None = None
    test_masks: Path | None = None
    mask_colors: dict[str, tuple[Channel, Channel, Channel]] = {}
    class_names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _both_or_neither(self) -> ExperimentData:
        if (self.test_images is None) != (self.test_masks is None):
            raise ValueError("give both test images and test masks, or neither")
        return self


class ExperimentConfig(_Frozen):
    """Everything that decides the numbers of a table.

    Attributes
    ----------
    table : str
        One of `TABLES`.
    data : ExperimentData
        The images.
    folds : int
        Parts of the cross-validation; of no effect with a fixed test set.
    split_seed : int
        Decides which images make a fold.
    seeds : tuple of int
        Every entry is trained once for each, in each fold.
    values : tuple of int
        Batch sizes, or numbers of training images, instead of the usual ones.
    only : tuple of str
        Patterns (``*``, ``?``) of the names of the entries to run; the others are "not run".
    training : TrainingConfig
        What all entries have in common: an entry changes what its name says, and nothing else.
    """

    schema_version: Literal[1] = 1
    table: TableName
    data: ExperimentData
    folds: Annotated[int, Field(ge=2)] = 4
    split_seed: Annotated[int, Field(ge=0)] = 0
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    values: tuple[Annotated[int, Field(ge=1)], ...] = ()
    only: tuple[str, ...] = ()
    training: TrainingConfig

    @field_validator("seeds", "values")
    @classmethod
    def _distinct(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"the numbers must differ, found {numbers}")
        return numbers

    @field_validator("training")
    @classmethod
    def _no_choice_by_scored_images(cls, training: TrainingConfig) -> TrainingConfig:
        if training.patience:
            raise ValueError("patience must be 0: the scored images may not decide when to stop")
        if training.devices * training.nodes > 1:
            raise ValueError("every entry trains on one device; several workers share the devices")
        return training

    @model_validator(mode="after")
    def _values_belong_to_sweeps(self) -> ExperimentConfig:
        if self.values and self.table not in SWEEPS:
            raise ValueError(f"values are for the tables {' and '.join(SWEEPS)}, not for {self.table}")
        return self


@dataclass(frozen=True)
class Budget:
    """How much work a table may be.

    Attributes
    ----------
    folds : int
        Parts of the cross-validation.
    seeds : tuple of int
        Trainings of each entry and fold.
    points : int
        Points of the curves.
    training : mapping
        Fields of `TrainingConfig`.
    """

    folds: int
    seeds: tuple[int, ...]
    points: int
    training: Mapping[str, Any]


BUDGETS = {
    "smoke": Budget(2, (0,), 2, {"steps": 10, "crop": 128, "batch_size": 4}),
    "quick": Budget(4, (0,), 5, {"steps": 150, "crop": 256, "batch_size": 8}),
    "full": Budget(4, (0, 1, 2), 10, {"steps": 3000, "crop": 320, "batch_size": 14, "ema": 0.995}),
}


def experiment_config(
    table: str, data: ExperimentData | Mapping[str, Any], budget: str = "quick", **changes: Any
) -> ExperimentConfig:
    """Make the settings of an experiment from a budget.

    Parameters
    ----------
    table : {"architectures", "ablation", "encoders", "batch-size", "training-size"}
        What is compared.
    data : ExperimentData or mapping
        Where the images lie.
    budget : {"smoke", "quick", "full"}
        Steps, crops, folds and seeds; see `BUDGETS`.
    **changes
        Other fields of `ExperimentConfig`, and fields of `TrainingConfig` such as ``steps``, ``encoder``
        and ``init``; None leaves the budget's value.

    Raises
    ------
    InputError
        The budget or a field is unknown, or a value is out of range.
    """
    if budget not in BUDGETS:
        raise InputError(f"Unknown budget {budget!r}. Choose one of {', '.join(BUDGETS)}.")
    chosen = BUDGETS[budget]
    given = {k: v for k, v in changes.items() if v is not None}
    own = {k: given.pop(k) for k in list(given) if k in ExperimentConfig.model_fields and k != "training"}
    training = dict(chosen.training) | given
    if "steps" in training and "validate_every" not in given:
        training["validate_every"] = max(1, int(training["steps"]) // chosen.points)
    defaults = {"folds": chosen.folds, "seeds": chosen.seeds}
    try:
        return ExperimentConfig.model_validate(
            defaults | own | {"table": table, "data": data, "training": training}
        )
    except ValidationError as error:
        raise InputError(_wrong_setting(error)) from error


def changed_config(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    """Change some settings; fields as for `experiment_config`, None leaves what is there.

    Raises
    ------
    InputError
        A field is unknown, or a value is out of range.
    """
    given = {k: v for k, v in changes.items() if v is not None}
    own = {k: given.pop(k) for k in list(given) if k in ExperimentConfig.model_fields}
    training = config.training.model_dump() | given
    if "steps" in given:
        points = max(1, config.training.steps // config.training.validate_every)
        training["validate_every"] = max(1, int(given["steps"]) // points)
    try:
        return ExperimentConfig.model_validate(config.model_dump() | own | {"training": training})
    except ValidationError as error:
        raise InputError(_wrong_setting(error)) from error


def config_text(config: ExperimentConfig, folder: Path) -> str:
    """Give the settings as TOML for a file in a folder.

    Parameters
    ----------
    config : ExperimentConfig
        With folders as the current directory sees them.
    folder : Path
        Where the file will lie; the folders of the data become relative to it.
    """
    return tomli_w.dumps(portable(config, folder))


def portable(config: ExperimentConfig, folder: Path) -> dict[str, Any]:
    """Make the settings ready for TOML and JSON, with paths relative to a folder where that is possible."""
    content = config.model_dump(mode="json", exclude_none=True)
    for name in _FOLDERS:
        if name in content["data"]:
            content["data"][name] = _relative(Path(content["data"][name]), folder)
    if Path(config.training.init).is_file():
        content["training"]["init"] = _relative(Path(config.training.init), folder)
    return content


def parse_experiment(path: str | Path) -> ExperimentConfig:
    """Read the ``experiment.toml`` or the ``record.json`` of an experiment.

    Returns
    -------
    ExperimentConfig
        With absolute folders.

    Raises
    ------
    InputError
        The file is missing or is no valid configuration; the setting is named.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)["config"] if path.suffix == ".json" else tomllib.loads(text)
        config = ExperimentConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_wrong_setting(error)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as an experiment ({error}). Expected the experiment.toml or the "
            "record.json that an experiment wrote."
        ) from error
    base = path.resolve().parent
    folders = {name: (base / v).resolve() for name in _FOLDERS if (v := getattr(config.data, name))}
    training = config.training
    if (base / training.init).is_file():
        training = training.model_copy(update={"init": str((base / training.init).resolve())})
    return config.model_copy(update={"data": config.data.model_copy(update=folders), "training": training})


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        # On Windows there is no way from one drive to another.
        return path.resolve().as_posix()


def _wrong_setting(error: ValidationError) -> str:
    """Say in one sentence what is wrong with the first wrong setting."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])) or "experiment"
    if first["type"] == "extra_forbidden":
        return f"There is no setting {name}. See `micro-ktnet experiment --help` for those there are."
    if first["type"] == "missing":
        return f"The setting {name} is missing."
    reason = first["msg"].removeprefix("Value error, ")
    shown = f" {first['input']!r}" if isinstance(first["input"], (str, int, float, tuple, list)) else ""
    return f"The setting {name} cannot be used{shown}: {reason}."
