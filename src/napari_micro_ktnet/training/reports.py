"""What a training run says while it goes on; light enough for a viewer to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_micro_ktnet.measurement.scores import PixelScores

EndReason = Literal["finished", "stopped", "no improvement"]


@dataclass(frozen=True)
class StepReport:
    """One optimiser step is done.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    loss : float
        Training loss of this step.
    """

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class ValidationReport:
    """One validation is done.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    training_loss : float
        Mean over the steps since the last validation.
    loss : float
        Validation loss, over all annotated pixels of the validation images.
    pooled : tuple of PixelScores
        Of every class besides matrix, from one confusion matrix over all validation images.
    per_image : tuple of tuple of PixelScores
        The same for each image, in the order given.
    best : bool
        Whether the mean IoU over classes (pooled) is the best so far; that model was saved.
    """

    step: int
    steps: int
    training_loss: float
    loss: float
    pooled: tuple[PixelScores, ...]
    per_image: tuple[tuple[PixelScores, ...], ...]
    best: bool


@dataclass(frozen=True)
class Notice:
    """Something that a user should know and that does not stop the run.

    Attributes
    ----------
    text : str
        One sentence.
    """

    text: str


@dataclass(frozen=True)
class EndReport:
    """The run has ended; its state is saved.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    reason : {"finished", "stopped", "no improvement"}
        All steps done, stopped on request (it can be resumed), or validation no longer got better.
    model : Path
        The best model so far.
    """

    step: int
    steps: int
    reason: EndReason
    model: Path


Report = StepReport | ValidationReport | Notice | EndReport
