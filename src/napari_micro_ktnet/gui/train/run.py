"""One training run of the widget, apart from layers and Qt: its files, its process, what it says."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_micro_ktnet.errors import MicroKTNetError, ModelError, OutputError, ReadError, TrainingError
from napari_micro_ktnet.gui.train.data import PairPixels, write_pairs
from napari_micro_ktnet.model.registry import add_model, model_info
from napari_micro_ktnet.sem import SEMImage, read_sem
from napari_micro_ktnet.training.config import DataConfig, TrainingConfig
from napari_micro_ktnet.training.process import Ending, Event, TrainingProcess
from napari_micro_ktnet.training.run import MODEL_FILE, RUN_FILE, list_runs, runs_folder
from napari_micro_ktnet.training.run_config import RunConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA_FOLDER = "data"
_PREVIEWS = ("preview_image.tif", "preview_labels.tif")
_POLL_S = 0.25
_LISTING_S = 5.0

Beginning = Generator["Update", None, TrainingProcess | None]


@dataclass(frozen=True, eq=False)
class TrainRequest:
    """What a user asks for by pressing Train.

    Attributes
    ----------
    name : str
        Of the run and of the model that it makes.
    training : TrainingConfig
        All settings.
    pairs : sequence of PairPixels
        Annotated layers; none where `data` is given.
    data : DataConfig, optional
        Folders with images and masks.
    minutes : float, optional
        Train as long, instead of `training.steps`.
    """

    name: str
    training: TrainingConfig
    pairs: Sequence[PairPixels] = ()
    data: DataConfig | None = None
    minutes: float | None = None


@dataclass(frozen=True, eq=False)
class Update:
    """What is new about a run.

    Attributes
    ----------
    events : list of dict
        Of the run.
    text : str
        What is done now, before there are events.
    preview : (SEMImage, uint8 ndarray (Y, X)), optional
        A validation image and its latest labels.
    """

    events: list[Event] = field(default_factory=list)
    text: str = ""
    preview: tuple[SEMImage, NDArray[np.uint8]] | None = None


def data_config(request: TrainRequest, folder: Path) -> Generator[Update, None, DataConfig]:
    """Give the data of a request; layers are written to `folder` first."""
    if request.data is not None:
        return request.data
    for text in write_pairs(request.pairs, folder):
        yield Update(text=text)
    return DataConfig(
        images=folder / "images",
        masks=folder / "masks",
        annotation="scribbles",
        class_names=tuple(each.name for each in request.training.classes),
    )


class Training:
    """A run to follow, in a worker thread.

    Parameters
    ----------
    path : Path
        Run directory; its name is that of the model.
    begin : callable
        Makes the generator that gives the process, or None where it was stopped before.
    """

    def __init__(self, path: Path, begin: Callable[[Training], Beginning]) -> None:
        self.path = path
        self._begin = begin
        self._process: TrainingProcess | None = None
        self._stopped = False

    @classmethod
    def new(cls, request: TrainRequest) -> Training:
        """Begin a run in the folder of runs."""
        path = runs_folder() / request.name
        return cls(path, lambda training: training._begin_new(request))

    @classmethod
    def resume(cls, path: Path) -> Training:
        """Go on with a run."""
        name = path.name if not is_model(path.name) else None
        return cls(path, lambda _: _at_once(lambda: TrainingProcess.resume(path, name=name)))

    @classmethod
    def attach(cls, path: Path) -> Training:
        """Watch a run that is running."""
        return cls(path, lambda _: _at_once(lambda: TrainingProcess.attach(path)))

    def stop(self) -> None:
        """Let the run save its state and end."""
        self._stopped = True
        if self._process is not None:
            self._process.stop()

    def steps(self) -> Generator[Update, None, Ending]:
        """Follow the run to its end; closing this leaves the process alone.

        Raises
        ------
        MicroKTNetError
            The run could not be begun.
        """
        self._process = yield from self._begin(self)
        if self._process is None:
            return Ending("new")
        if self._stopped:
            self._process.stop()
        following = self._process.follow(_POLL_S)
        try:
            while True:
                events = next(following)
                yield Update(events, preview=self._preview(events))
        except StopIteration as stop:
            return self._conclude(stop.value)
        finally:
            following.close()

    def _begin_new(self, request: TrainRequest) -> Beginning:
        try:
            self.path.mkdir(parents=True)
        except FileExistsError as error:
            raise TrainingError(
                f"There is a run named {request.name!r} already. Resume it, or choose another name."
            ) from error
        except OSError as error:
            raise OutputError(f"{self.path} could not be made ({error.strerror}).") from error
        process = None
        try:
            data = yield from data_config(request, self.path / DATA_FOLDER)
            if not self._stopped:
                yield Update(text="Starting…")
                config = RunConfig(data=data, training=request.training)
                process = TrainingProcess.start(config, self.path, name=request.name, minutes=request.minutes)
            return process
        finally:
            if process is None:
                shutil.rmtree(self.path, ignore_errors=True)

    def _preview(self, events: Sequence[Event]) -> tuple[SEMImage, NDArray[np.uint8]] | None:
        if not any(event["event"] == "validation" for event in events):
            return None
        try:
            image, labels = (read_sem(self.path / name) for name in _PREVIEWS)
        except ReadError:
            # A run on several devices may not have written it.
            return None
        return image, labels.pixels

    def _conclude(self, ending: Ending) -> Ending:
        if not (self.path / RUN_FILE).is_file():
            # Nothing was begun: its name can be used again.
            shutil.rmtree(self.path, ignore_errors=True)
        elif ending.status == "finished":
            try:
                self._list_model()
            except MicroKTNetError as error:
                return replace(ending, message=str(error))
        return ending

    def _list_model(self) -> None:
        """Wait for the process to add the model to the list, or do it for one that was not told to."""
        deadline = time.monotonic() + _LISTING_S
        while not is_model(self.path.name):
            if time.monotonic() > deadline:
                add_model(self.path / MODEL_FILE, self.path.name)
                return
            time.sleep(_POLL_S)


def _at_once(make: Callable[[], TrainingProcess]) -> Beginning:
    yield Update(text="Starting…")
    return make()


def is_model(name: str) -> bool:
    """Whether there is a model of this name."""
    try:
        model_info(name)
    except ModelError:
        return False
    return True


def running_runs() -> list[str]:
    """Names of runs in the folder of runs that some process works on."""
    return [run.path.name for run in list_runs() if run.status == "running"]


def free_name(wanted: str = "my-model") -> str:
    """Give a name that neither a model nor a run has."""
    folder, number, name = runs_folder(), 1, wanted
    while is_model(name) or (folder / name).exists():
        number += 1
        name = f"{wanted}-{number}"
    return name
