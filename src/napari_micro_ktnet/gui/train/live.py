"""A run as it is shown: bars, curves, and what is said at its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.jobs import Done, Failed
from napari_micro_ktnet.gui.train.curves import loss_curves, score_curves
from napari_micro_ktnet.gui.train.history import describe_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_micro_ktnet.gui.train.history import History
    from napari_micro_ktnet.gui.train.session import Outcome, TrainSession
    from napari_micro_ktnet.gui.train.view import ProgressPart
    from napari_micro_ktnet.model.spec import LabelClass
    from napari_micro_ktnet.training.run import RunSummary


def show_progress(part: ProgressPart, history: History, classes: Sequence[LabelClass]) -> None:
    """Move the bars and draw the curves."""
    if history.steps and history.step:
        left = history.remaining_s
        time = (
            f" · {describe_seconds(left)} left" if left is not None and history.step < history.steps else ""
        )
        part.steps.setRange(0, history.steps)
        part.steps.setValue(history.step)
        part.steps.setFormat(f"step {history.step} of {history.steps}{time}")
        done, planned = history.epochs
        part.epochs.setRange(0, 1000)
        part.epochs.setValue(round(1000 * history.epoch_share))
        part.epochs.setFormat(f"epoch {min(done + 1, planned)} of {planned} (ends with a validation)")
    else:
        for bar in (part.steps, part.epochs):
            bar.setRange(0, 0)
            bar.setFormat("")
    part.loss.show_curves(loss_curves(history), history.steps)
    part.score.show_curves(score_curves(history, classes), history.steps)


def describe_progress(history: History) -> str:
    """Say how good the model is so far."""
    if history.best is None:
        text = "Training; the first validation is still to come."
    else:
        last = history.validations[max(history.validations)]
        text = f"Validation IoU {last['score']:.3f}, best {history.best:.3f}."
    return f"{text} {history.notice}".strip()


def describe_end(session: TrainSession, outcome: Outcome) -> tuple[str, str]:
    """Say how a run ended: a sentence and its kind, ``"good"``, ``"problem"`` or nothing."""
    history, model = session.history, session.training.path / "model.safetensors"
    if isinstance(outcome, Failed):
        return str(outcome.error), "problem"
    if not isinstance(outcome, Done):
        return "", ""
    status, message = outcome.value.status, outcome.value.message
    best = f" Best validation IoU: {history.best:.3f}." if history.best is not None else ""
    if status == "finished" and not message:
        early = "" if history.step >= history.steps else " Validation no longer got better."
        text = f"Done after {history.step} steps.{early}{best}"
        return f"{text} The model {session.name!r} is in the list of models: choose it in Segment.", "good"
    if status == "finished":
        return f"Trained, and kept as {model}, but not added to the list of models: {message}", "problem"
    if status == "stopped" and not session.discarding:
        return f"Paused after step {history.step}; everything is saved.{best} Resume goes on from here.", ""
    if status == "new" and not model.exists():
        return "Cancelled before the first step; nothing was kept.", ""
    if session.discarding:
        return f"Cancelled after step {history.step}.{best} The best model so far is kept: {model}", ""
    again = " Resume goes on from the last saved state." if history.step else ""
    return f"{message}{again}", "problem"


def describe_run(run: RunSummary) -> str:
    """One line about a run in a list."""
    return f"{run.path.name} · {run.status}"


def describe_run_fully(run: RunSummary) -> str:
    """Say where a run is and how far."""
    score = "" if math.isnan(run.best) else f", best validation IoU {run.best:.3f}"
    return f"{run.path}: {run.status}, step {run.step} of {run.steps}{score}"


def describe_offer(run: RunSummary) -> str:
    """Offer to go on with a run."""
    if run.status == "running":
        return f"The run {run.path.name!r} is training (step {run.step} of {run.steps}): Attach shows it."
    what = "left" if run.status == "stopped" else run.status
    return f"The run {run.path.name!r} was {what} at step {run.step} of {run.steps}: Resume goes on with it."
