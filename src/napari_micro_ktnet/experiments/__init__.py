"""The experiments of the paper, on any data set: one protocol, one table, one command."""

from napari_micro_ktnet.experiments.config import (
    BUDGETS,
    TABLES,
    ExperimentConfig,
    ExperimentData,
    experiment_config,
    parse_experiment,
)
from napari_micro_ktnet.experiments.reports import (
    EntryReport,
    ExperimentEnd,
    JobReport,
    Notice,
    ProgressReport,
    Report,
)
from napari_micro_ktnet.experiments.runner import run_experiment

__all__ = [
    "BUDGETS",
    "TABLES",
    "EntryReport",
    "ExperimentConfig",
    "ExperimentData",
    "ExperimentEnd",
    "JobReport",
    "Notice",
    "ProgressReport",
    "Report",
    "experiment_config",
    "parse_experiment",
    "run_experiment",
]
