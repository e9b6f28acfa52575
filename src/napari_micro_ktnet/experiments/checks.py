"""What can be known to be wrong before anything is trained."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.experiments.config import ExperimentConfig, parse_experiment
from napari_micro_ktnet.experiments.entries import STARTS, Entry
from napari_micro_ktnet.model.encoders import canonical_encoder
from napari_micro_ktnet.model.registry import STARTER
from napari_micro_ktnet.predict.device import pick_device
from napari_micro_ktnet.training.config import TrainingConfig


def check_same_table(config: ExperimentConfig, stored: Path) -> None:
    """Refuse to write a table over another."""
    found = parse_experiment(stored).table if stored.is_file() else config.table
    if found != config.table:
        raise InputError(
            f"{stored.parent} holds the table {found}, not {config.table}. Resume {found}, or choose "
            "another folder."
        )


def check_training(training: TrainingConfig) -> None:
    """Refuse what would make every row fail."""
    canonical_encoder(training.encoder)
    pick_device(training.device)
    if training.init not in (*STARTS, STARTER) and not Path(training.init).is_file():
        raise InputError(
            f"The start {training.init!r} is neither one of {', '.join((*STARTS, STARTER))} nor a file."
        )


def check_patterns(config: ExperimentConfig, entries: tuple[Entry, ...]) -> None:
    """Refuse a pattern that fits no entry."""
    names = [e.name for e in entries]
    for pattern in config.only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"No entry of the table {config.table} is called {pattern!r}. There are: {', '.join(names)}."
            )
