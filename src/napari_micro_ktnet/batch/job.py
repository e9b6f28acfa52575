"""What a batch does with every file, in a form that travels to other processes and machines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_micro_ktnet.batch.writing import OutputOptions
from napari_micro_ktnet.errors import InputError, ModelError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.measurement.fields import MeasureOptions
from napari_micro_ktnet.model.registry import STARTER, Model, load_model, model_info
from napari_micro_ktnet.predict.runner import make_options

STATE_FOLDER = "measured"

# Another one where the same settings give other results, so that no batch mixes both.
_REVISION = 2
_SAME_RESULT = frozenset({"device", "batch_size"})


@dataclass(frozen=True)
class BatchJob:
    """How to segment and measure files.

    Attributes
    ----------
    output : Path
        Folder for the results.
    model : str
        Name or path, as `load_model` takes it; on a cluster every worker must find the same model there.
    outputs : OutputOptions
        Threshold, and what is written besides labels.
    predict : mapping of str to Any
        Options of `napari_micro_ktnet.segment`.
    measure : MeasureOptions
        From labels to figures.
    pixel_size : float, optional
        nm, where a file does not say it.
    model_sha256 : str
        Of the model where the batch was started.
    """

    output: Path
    model: str = STARTER
    outputs: OutputOptions = field(default_factory=OutputOptions)
    predict: Mapping[str, Any] = field(default_factory=dict)
    measure: MeasureOptions = field(default_factory=MeasureOptions)
    pixel_size: float | None = None
    model_sha256: str = ""

    @cached_property
    def segmentation_key(self) -> str:
        """Fingerprint of all that decides the labels, but for the image."""
        asked = {k: v for k, v in self.predict.items() if k not in _SAME_RESULT}
        return _fingerprint(self.model_sha256, asdict(self.outputs), asked)

    @cached_property
    def measurement_key(self) -> str:
        """Fingerprint of all that decides the figures, but for the labels."""
        return _fingerprint(asdict(self.measure), self.pixel_size)

    def load_model(self) -> Model:
        """Load the model, once in every process.

        Raises
        ------
        ModelError
            It is another one than where the batch was started.
        """
        model = _load(self.model)
        if model.sha256 != self.model_sha256:
            raise ModelError(
                f"The model {self.model} on this machine is another one (SHA-256 {model.sha256[:12]}) than "
                f"where the batch was started ({self.model_sha256[:12]}). Give all machines the same file."
            )
        return model


def make_job(
    output: str | os.PathLike[str],
    model: str | os.PathLike[str] = STARTER,
    outputs: OutputOptions | None = None,
    measure: MeasureOptions | None = None,
    pixel_size: float | None = None,
    **predict: Any,
) -> BatchJob:
    """Describe a batch; see `BatchJob`.

    Raises
    ------
    InputError
        An option is out of range.
    ModelError
        There is no such model.
    """
    outputs = outputs or OutputOptions()
    if not 0 <= outputs.threshold <= 1:
        raise InputError(f"The threshold must be from 0 to 1, found {outputs.threshold}.")
    make_options({k: v for k, v in predict.items() if k not in ("region", "match_pixel_size")})
    info = model_info(model)
    # Workers may run in another folder; names are looked up on each machine.
    name = str(info.path.resolve()) if info.path == Path(model) else os.fspath(model)
    return BatchJob(
        Path(output).resolve(),
        name,
        outputs,
        predict,
        measure or MeasureOptions(),
        pixel_size,
        file_sha256(info.path),
    )


@lru_cache(maxsize=1)
def _load(model: str) -> Model:
    return load_model(model)


def _fingerprint(*parts: Any) -> str:
    content = json.dumps([_REVISION, version("napari-micro-ktnet"), *parts], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
