"""Do one job: train, predict the held-out images with the model of the last step, score.

As a process of its own: ``python -m napari_micro_ktnet.experiments.job FOLDER``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError, MicroKTNetError
from napari_micro_ktnet.experiments.data import load_images
from napari_micro_ktnet.experiments.jobs import (
    LABELS_FOLDER,
    RUN_FOLDER,
    CurvePoint,
    ImageReference,
    Job,
    JobResult,
    ScoredImage,
    read_job,
    write_result,
)
from napari_micro_ktnet.experiments.record import versions
from napari_micro_ktnet.measurement.evaluation import evaluate
from napari_micro_ktnet.model.cost import network_cost
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.predict.device import pick_device, thread_count
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.sem.writer import write_labels
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.estimate import peak_memory
from napari_micro_ktnet.training.last import last_model
from napari_micro_ktnet.training.loop import iter_resume, iter_train
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.run import Run


def run_job(job: Job) -> JobResult:
    """Train, or go on training, and score; the result is written last.

    Parameters
    ----------
    job : Job
        Its folder may hold a training that was interrupted.

    Returns
    -------
    JobResult
        As it was written.

    Raises
    ------
    MicroKTNetError
        The images are no longer those of the job, or it cannot be trained.
    """
    spec = job.spec
    images = load_images(spec.data)
    training = _chosen(images.pairs, spec.training_images)
    scored = _chosen(images.test or images.pairs, spec.scored_images)
    run = train(job.folder / RUN_FOLDER, training, scored, spec.training)
    model = last_model(run)
    cost = network_cost(model.spec)
    labels, seconds = predict(model, scored, spec.training)
    for pair, found in zip(scored, labels, strict=True):
        write_labels(job.folder / LABELS_FOLDER / f"{Path(pair.name).stem}.tif", found, pair.pixel_size)
    events = run.events()[0]
    device = pick_device(spec.training.device)
    result = JobResult(
        key=spec.key,
        status="done",
        images=score(labels, scored, seconds, [c.name for c in spec.training.classes]),
        curve=_curve(events),
        parameters=cost.parameters,
        flops=cost.flops,
        memory_bytes=peak_memory(device),
        seconds_per_step=_seconds_per_step(events),
        device=device.type,
        threads=thread_count(),
        versions=versions(),
    )
    write_result(job, result)
    # Many times the size of everything else, and of no more use.
    run.state_file.unlink()
    run.model_file.unlink()
    return result


def train(
    folder: Path, training: Sequence[ImagePair], scored: Sequence[ImagePair], config: TrainingConfig
) -> Run:
    """Take all steps. The scored images are watched and decide nothing: see `last_model`."""
    if (folder / "run.toml").is_file():
        reports = iter_resume(Run(folder), training, scored)
    else:
        reports = iter_train(training, scored, folder, config)
    for _ in reports:
        pass
    return Run(folder)


def predict(
    model: Model, pairs: Sequence[ImagePair], config: TrainingConfig
) -> tuple[list[NDArray[np.uint8]], list[float]]:
    """Labels ``(Y, X)`` of every image, and the seconds that it took."""
    labels, seconds = [], []
    for pair in pairs:
        start = time.perf_counter()
        found = segment(
            SEMImage(pair.pixels),
            model,
            region=pair.analysed,
            device=config.device,
            precision=config.precision,
        ).labels()
        seconds.append(time.perf_counter() - start)
        labels.append(found)
    return labels, seconds


def score(
    labels: Sequence[NDArray[np.uint8]],
    pairs: Sequence[ImagePair],
    seconds: Sequence[float],
    classes: Sequence[str],
) -> tuple[ScoredImage, ...]:
    """Count pixels of every image by true and predicted class, as ``micro-ktnet evaluate`` does."""
    found = evaluate(labels, [p.mask for p in pairs], classes=classes, not_annotated=IGNORE)
    return tuple(
        ScoredImage(name=pair.name, confusion=tuple(map(tuple, report.confusion.tolist())), seconds=s)
        for pair, report, s in zip(pairs, found.images, seconds, strict=True)
    )


def _chosen(pairs: Sequence[ImagePair], wanted: Sequence[ImageReference]) -> list[ImagePair]:
    known = {pair.name: pair for pair in pairs}
    for reference in wanted:
        if reference.name not in known or known[reference.name].digest != reference.sha256:
            raise DataError(
                f"{reference.name} is no longer the image, or its mask, that the experiment began with. "
                "Restore it, or begin a new experiment."
            )
    return [known[reference.name] for reference in wanted]


def _curve(events: Sequence[dict[str, Any]]) -> tuple[CurvePoint, ...]:
    points = []
    for event in events:
        if event["event"] != "validation":
            continue
        ious = np.array([v for k, v in event.items() if k.startswith("iou_") and v is not None])
        if len(ious):
            # Of one class against the rest, F1 = 2 TP / (2 TP + FP + FN) = 2 IoU / (1 + IoU).
            f1 = float(np.mean(2 * ious / (1 + ious)))
            points.append(CurvePoint(step=event["step"], iou=float(ious.mean()), f1=f1))
    return tuple(points)


def _seconds_per_step(events: Sequence[dict[str, Any]]) -> float | None:
    """Median time between neighbouring steps, those around a validation left out."""
    times = [b["time"] - a["time"] for a, b in pairwise(events) if a["event"] == b["event"] == "step"]
    return float(np.median(times)) if times else None


def _end_with_parent() -> None:
    """End when whoever holds the other end of standard input is gone: the state on disk is whole."""
    # Not sys.stdin.read: the lock of its buffer would be held when the interpreter ends.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    """Do the job of the folder that is the only argument."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_job(read_job(Path(sys.argv[1])))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
        # Not left to the interpreter: some packages replace how it prints errors.
        traceback.print_exc()
        sys.exit(str(error) if isinstance(error, MicroKTNetError) else f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
