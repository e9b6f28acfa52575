"""Models by name: the starter that ships inside the package, and the user's own."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from napari_micro_ktnet.errors import ModelError
from napari_micro_ktnet.files import file_sha256, replacing
from napari_micro_ktnet.model.checkpoint import (
    CheckpointInfo,
    HistoryEntry,
    load_network,
    read_checkpoint_info,
)
from napari_micro_ktnet.model.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

STARTER = "starter"
MODELS_VARIABLE = "MICRO_KTNET_MODELS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Model:
    """A model that is ready to run.

    Attributes
    ----------
    name : str
        Name in the list of models, or the file's stem.
    network : nn.Module
        Float32, on the CPU, in evaluation mode.
    spec : ModelSpec
        What it is.
    sha256 : str
        Of the file that it was loaded from, empty for a model that was never saved.
    """

    name: str
    network: nn.Module
    spec: ModelSpec
    sha256: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """A model in the list, without its weights.

    Attributes
    ----------
    name : str
        What `load_model` takes.
    path : Path
        Its file.
    spec : ModelSpec
        What it is.
    history : tuple of HistoryEntry
        What happened to it.
    """

    name: str
    path: Path
    spec: ModelSpec
    history: tuple[HistoryEntry, ...]


def models_folder() -> Path:
    """Folder of the user's own models: ``$MICRO_KTNET_MODELS``, else the platform's data folder."""
    override = os.environ.get(MODELS_VARIABLE)
    return Path(override).expanduser() if override else user_data_path("napari-micro-ktnet") / "models"


def starter_path() -> Path:
    """File of the model that ships inside the package."""
    return Path(str(files("napari_micro_ktnet.model") / "starter" / "starter.safetensors"))


def list_models() -> tuple[ModelInfo, ...]:
    """List the models that are known by name, the starter first.

    A file in the models folder that cannot be read is left out here; `model_info` of its name
    says what is wrong with it.
    """
    found = [_info(STARTER, starter_path())] if starter_path().is_file() else []
    for path in sorted(models_folder().glob("*.safetensors")):
        try:
            found.append(_info(path.stem, path))
        except ModelError:
            continue
    return tuple(found)


def model_info(model: str | os.PathLike[str]) -> ModelInfo:
    """Find a model by name or path and read what it says about itself.

    Raises
    ------
    ModelError
        No such model; the message lists those that exist.
    """
    text = os.fspath(model)
    if text == STARTER:
        return _info(STARTER, starter_path())
    by_name = models_folder() / f"{text}.safetensors"
    if _NAME.fullmatch(text) and by_name.is_file():
        return _info(text, by_name)
    path = Path(text)
    if path.suffix or len(path.parts) > 1 or os.path.lexists(path):
        return _info(path.stem, path)
    names = ", ".join(m.name for m in list_models())
    raise ModelError(f"No model named {text!r}, and no such file. Known models: {names}.")


def load_model(model: str | os.PathLike[str] | Model = STARTER) -> Model:
    """Load a model by name or path.

    Parameters
    ----------
    model : str, path or Model
        A name from `list_models`, a ``.safetensors`` file, or a `Model`, which is returned as
        it is.

    Returns
    -------
    Model
        Ready to be given to `napari_micro_ktnet.segment`.

    Raises
    ------
    ModelError
        No such model, or its file cannot be used.
    UnsafeFileError
        The file is a pickle; it is not opened.
    """
    if isinstance(model, Model):
        return model
    info = model_info(model)
    network = load_network(CheckpointInfo(info.path, info.spec, info.history))
    return Model(info.name, network, info.spec, file_sha256(info.path))


def check_new_name(name: str) -> None:
    """Raise unless a model can be added under a name.

    Raises
    ------
    ModelError
        The name is taken or not usable.
    """
    if not _NAME.fullmatch(name) or name.lower() == STARTER:
        raise ModelError(
            f"{name!r} cannot be a model name. Use up to 64 letters, digits, '.', '_' and '-', "
            f"beginning with a letter or digit, and not {STARTER!r}."
        )
    if (models_folder() / f"{name}.safetensors").exists():
        raise ModelError(f"A model named {name!r} exists already. Remove it first, or choose another name.")


def add_model(path: str | os.PathLike[str], name: str) -> ModelInfo:
    """Copy a model file into the models folder under a name.

    Raises
    ------
    ModelError
        The file is no model, or the name is taken or not usable.
    OutputError
        The copy cannot be written.
    """
    check_new_name(name)
    source = read_checkpoint_info(path)
    target = models_folder() / f"{name}.safetensors"
    with replacing(target) as temporary:
        shutil.copyfile(source.path, temporary)
    return _info(name, target)


def remove_model(name: str) -> Path:
    """Delete a model of the models folder.

    Raises
    ------
    ModelError
        There is none of that name, or it is the starter.
    """
    path = models_folder() / f"{name}.safetensors"
    if name == STARTER:
        raise ModelError("The starter model is part of the package and cannot be removed.")
    if not _NAME.fullmatch(name) or not path.is_file():
        raise ModelError(f"No model named {name!r} in {models_folder()}.")
    path.unlink()
    return path


def _info(name: str, path: Path) -> ModelInfo:
    info = read_checkpoint_info(path)
    return ModelInfo(name, info.path, info.spec, info.history)
