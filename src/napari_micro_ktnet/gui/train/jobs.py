"""Two small jobs beside training: what it would cost, and what varied crops look like."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.gui.train.history import describe_seconds
from napari_micro_ktnet.gui.train.run import DATA_FOLDER, TrainRequest, data_config
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.inputs import as_grey_image
from napari_micro_ktnet.training.child import iter_estimate
from napari_micro_ktnet.training.run_config import RunConfig
from napari_micro_ktnet.triton_guard import keep_triton_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.training.config import TrainingConfig

_ROWS, _COLUMNS = 2, 4
_GAP = 8


def estimate_steps(request: TrainRequest) -> Generator[None, None, str]:
    """Measure time and memory of a run in a process of its own; gives a sentence.

    Raises
    ------
    MicroKTNetError
        It could not be measured.
    """
    with TemporaryDirectory(prefix="micro-ktnet-", ignore_cleanup_errors=True) as folder:
        writing = data_config(request, Path(folder) / DATA_FOLDER)
        while True:
            try:
                next(writing)
            except StopIteration as stop:
                data = stop.value
                break
            yield
        values = yield from iter_estimate(RunConfig(data=data, training=request.training), Path(folder))
    return describe_estimate(values, request)


def describe_estimate(values: dict[str, float], request: TrainRequest) -> str:
    """Say what was measured in a sentence."""
    memory = f", {values['memory_bytes'] / 2**30:.1f} GB of memory" if values["memory_bytes"] else ""
    each = f"{values['step_s']:.2g} s a step, {values['validation_s']:.2g} s a validation{memory}"
    if request.minutes is None:
        return f"About {describe_seconds(values['total_s'])} for {values['steps']} steps: {each}."
    one = values["step_s"] + values["validation_s"] / request.training.validate_every
    return f"About {max(1, int(60 * request.minutes / one))} steps in {request.minutes:g} min: {each}."


def crops_steps(images: Sequence[Any], config: TrainingConfig) -> Generator[None, None, NDArray[np.float32]]:
    """Draw eight varied crops; gives a mosaic ``(Y, X)`` of stretched grey values.

    Parameters
    ----------
    images : sequence of SEMImage, array or path
        What to cut from.
    config : TrainingConfig
        Crop size, seed and augmentation.
    """
    yield
    keep_triton_out()
    from napari_micro_ktnet.training.dataset import CropSampler, ImagePair

    pairs = []
    for number, image in enumerate(images):
        grey = as_grey_image(image).pixels
        flat = grey if grey.ndim == 2 else grey[len(grey) // 2]
        pairs.append(ImagePair(str(number), np.asarray(flat), np.ones(flat.shape, np.uint8)))
    config = config.model_copy(update={"batch_size": _ROWS * _COLUMNS})
    crops = CropSampler(pairs, Normalization(), config).batch(1)[0].numpy()
    side = config.crop + _GAP
    mosaic = np.zeros((_ROWS * side - _GAP, _COLUMNS * side - _GAP), np.float32)
    for number, crop in enumerate(crops):
        y, x = divmod(number, _COLUMNS)
        mosaic[y * side : y * side + config.crop, x * side : x * side + config.crop] = crop
    return mosaic
