"""Every exception a user can meet.

Each message says what was found, what was expected and what to do, in one or two sentences that
make sense without a traceback.
"""

from __future__ import annotations


class MicroKTNetError(Exception):
    """Base of all errors that this package raises on purpose."""


class ReadError(MicroKTNetError):
    """A file is missing, truncated, or not an image that can be read."""


class InputError(MicroKTNetError, ValueError):
    """An array or a parameter is not what the function needs."""


class ModelError(MicroKTNetError):
    """A model name, specification or file cannot be used."""


class UnsafeFileError(ModelError):
    """A file would have to be unpickled to be read, so it is refused."""


class WeightsError(ModelError):
    """Encoder weights are missing or do not fit the network."""


class FetchError(WeightsError):
    """Encoder weights could not be fetched, or are not the file they were before."""


class DataError(MicroKTNetError):
    """Training images and masks cannot be paired or used."""


class TrainingError(MicroKTNetError):
    """A training run cannot go on."""


class OutputError(MicroKTNetError):
    """A result could not be written."""
