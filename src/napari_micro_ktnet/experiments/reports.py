"""What an experiment says while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["done", "failed", "not available", "not run"]
Row = dict[str, Any]


@dataclass(frozen=True)
class ProgressReport:
    """Some steps were taken.

    Attributes
    ----------
    entry : str
        The entry that is trained.
    fold, seed : int
        Which of its trainings.
    done, total : int
        Steps of the whole experiment that are done, and planned; those of entries that turned out to
        fail or not to be available are no longer in the total.
    """

    entry: str
    fold: int
    seed: int
    done: int
    total: int


@dataclass(frozen=True)
class JobReport:
    """One training of an entry has ended and is scored.

    Attributes
    ----------
    entry : str
        Whose.
    fold, seed : int
        Which.
    status : {"done", "failed", "not available"}
        How it ended.
    reason : str
        Why it is not done.
    """

    entry: str
    fold: int
    seed: int
    status: Status
    reason: str


@dataclass(frozen=True)
class EntryReport:
    """An entry has ended; the tables on disk hold it.

    Attributes
    ----------
    row : dict
        Its row, by column.
    """

    row: Row


@dataclass(frozen=True)
class Notice:
    """Something that a user should know and that does not stop the experiment.

    Attributes
    ----------
    text : str
        One sentence.
    """

    text: str


@dataclass(frozen=True)
class ExperimentEnd:
    """All entries have ended.

    Attributes
    ----------
    rows : tuple of dict
        The table.
    files : tuple of Path
        What was written.
    """

    rows: tuple[Row, ...]
    files: tuple[Path, ...]


Report = ProgressReport | JobReport | EntryReport | Notice | ExperimentEnd
