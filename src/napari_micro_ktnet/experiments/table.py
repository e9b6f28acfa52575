"""The rows of a table, from the results of its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.experiments.config import ExperimentConfig
from napari_micro_ktnet.experiments.entries import Entry, start_name
from napari_micro_ktnet.experiments.jobs import Job, JobResult
from napari_micro_ktnet.experiments.reports import Row, Status
from napari_micro_ktnet.experiments.statistics import EntryScores, compare, holm, score_entry
from napari_micro_ktnet.model.cost import COST_SIDE

COLUMNS = {
    "entry": "name of the entry",
    "status": "done, failed, not available (its weights cannot be had), not run",
    "iou": "IoU pooled over all pixels of all scored images; mean over classes, mean over seeds",
    "iou_mean": "mean over images of the IoU of each, of the classes that the image holds",
    "f1": "F1 (Dice), pooled as iou",
    "precision": "pooled as iou",
    "recall": "pooled as iou",
    "iou_low": "95 % bootstrap interval of iou over images",
    "iou_high": "",
    "iou_seed_lowest": "iou of the seed with the lowest, where there are several",
    "iou_seed_highest": "",
    "iou_mean_low": "95 % bootstrap interval of iou_mean over images",
    "iou_mean_high": "",
    "f1_low": "95 % bootstrap interval of f1 over images",
    "f1_high": "",
    "difference": "mean over images of IoU minus that of the reference; below 0 the reference is better",
    "difference_low": "95 % bootstrap interval of difference over images",
    "difference_high": "",
    "p_value": "paired permutation test over images against the reference, two-sided",
    "p_holm": "p_value adjusted for the number of entries tested (Holm)",
    "images": "scored images, each counted once",
    "folds": "trainings on different images",
    "seeds": "trainings on the same images",
    "parameters": "numbers that training changes",
    "flops": f"operations of a forward pass over {COST_SIDE} x {COST_SIDE} pixels, multiply-add = 2",
    "seconds_per_image": "median time to segment a scored image, on the device of the run",
    "seconds_per_step": "median time of a training step",
    "memory_mb": "most memory of a training and prediction (process; on a GPU: of torch), 10^6 bytes",
    "architecture": "settings of the entry",
    "encoder": "",
    "init": "",
    "scse": "",
    "upsampling": "",
    "batch_size": "",
    "crop": "",
    "steps": "",
    "training_images": "images trained on in a fold (least of the folds)",
    "reference": "1 for the Micro-KTNet that the others are tested against",
    "reason": "why an entry is not done",
}
"""Columns of ``results.csv`` and what they mean; where it is empty, the one before says it."""

Outcome = Mapping[str, JobResult]
"""Results by key of the job."""


def entry_status(jobs: Sequence[Job], outcome: Outcome) -> tuple[Status, str]:
    """Say what became of an entry, and why."""
    results = [outcome.get(job.spec.key) for job in jobs]
    for status in ("not available", "failed"):
        for found in results:
            if found is not None and found.status == status:
                return found.status, found.reason
    return ("done" if all(found is not None for found in results) else "not run"), ""


def make_rows(
    config: ExperimentConfig,
    entries: Sequence[Entry],
    jobs: Mapping[str, Sequence[Job]],
    outcome: Outcome,
) -> tuple[Row, ...]:
    """Make the table; entries that are not done have no scores.

    Parameters
    ----------
    config : ExperimentConfig
        The protocol.
    entries : sequence of Entry
        In the order of the table.
    jobs : mapping of str to sequence of Job
        By name of the entry.
    outcome : mapping of str to JobResult
        As far as there are results.
    """
    scores = {
        e.name: score_entry(confusions(jobs[e.name], outcome), config.split_seed)
        for e in entries
        if entry_status(jobs[e.name], outcome)[0] == "done"
    }
    rows = {e.name: _row(e, jobs[e.name], outcome, scores.get(e.name)) for e in entries}
    _add_tests(rows, scores, next(e.name for e in entries if e.reference), config.split_seed)
    return tuple(rows.values())


def confusions(jobs: Sequence[Job], outcome: Outcome) -> NDArray[np.int64]:
    """Confusion matrices ``(seeds, images, classes, classes)`` of an entry that is done."""
    by_seed: dict[int, list[object]] = {}
    for job in sorted(jobs, key=lambda j: j.spec.fold):
        found = [image.confusion for image in outcome[job.spec.key].images]
        by_seed.setdefault(job.seed, []).extend(found)
    return np.array(list(by_seed.values()), np.int64)


def image_names(jobs: Sequence[Job]) -> list[str]:
    """Names of the scored images, in the order of `confusions`."""
    first = jobs[0].seed
    ordered = sorted((j for j in jobs if j.seed == first), key=lambda j: j.spec.fold)
    return [image.name for job in ordered for image in job.spec.scored_images]


def _row(entry: Entry, jobs: Sequence[Job], outcome: Outcome, scores: EntryScores | None) -> Row:
    status, reason = entry_status(jobs, outcome)
    training = jobs[0].spec.training
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"entry": entry.name, "status": status, "reason": reason, "reference": int(entry.reference)}
    row |= {n: getattr(training, n) for n in ("architecture", "encoder", "batch_size", "crop", "steps")}
    row["init"] = start_name(training.init)
    if training.architecture == "micro-ktnet":
        row |= {"scse": int(training.scse), "upsampling": training.upsampling}
    row["training_images"] = min(len(job.spec.training_images) for job in jobs)
    row |= {"folds": len({job.spec.fold for job in jobs}), "seeds": len({job.seed for job in jobs})}
    if scores is None:
        return row
    for name, interval in scores.pooled.items():
        row[name] = interval.value
        if name in ("iou", "f1"):
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    row |= {"iou_mean": scores.mean.value, "images": len(scores.per_image)}
    row |= {"iou_mean_low": scores.mean.low, "iou_mean_high": scores.mean.high}
    if len(scores.by_seed) > 1:
        row |= {"iou_seed_lowest": min(scores.by_seed), "iou_seed_highest": max(scores.by_seed)}
    if len(scores.by_class) > 1:
        named = zip(training.classes, scores.by_class, strict=True)
        row |= {f"iou_class_{c.name}": value for c, value in named}
    return row | _costs([outcome[job.spec.key] for job in jobs])


def _costs(results: Sequence[JobResult]) -> Row:
    steps = [r.seconds_per_step for r in results if r.seconds_per_step is not None]
    memory = max(r.memory_bytes for r in results)
    return {
        "parameters": results[0].parameters,
        "flops": results[0].flops,
        "seconds_per_image": float(np.median([i.seconds for r in results for i in r.images])),
        "seconds_per_step": float(np.median(steps)) if steps else None,
        "memory_mb": round(memory / 1e6) if memory else None,
    }


def _add_tests(rows: dict[str, Row], scores: Mapping[str, EntryScores], reference: str, seed: int) -> None:
    if reference not in scores:
        return
    tests = {
        name: compare(found.per_image, scores[reference].per_image, seed)
        for name, found in scores.items()
        if name != reference
    }
    adjusted = holm({name: test.p_value for name, test in tests.items()})
    for name, test in tests.items():
        rows[name] |= {
            "difference": test.difference.value,
            "difference_low": test.difference.low,
            "difference_high": test.difference.high,
            "p_value": test.p_value,
            "p_holm": adjusted[name],
        }
