"""The source task: an encoder learns to tell classes of micrographs apart, and is kept.

On one device and without Fabric: there is no state to share or to resume, since the best encoder can
be the start of another run.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from napari_micro_ktnet.errors import DataError, InputError, ReadError
from napari_micro_ktnet.files import replacing, write_bytes
from napari_micro_ktnet.model.encoders import canonical_encoder
from napari_micro_ktnet.training.class_folders import (
    ClassFiles,
    ClassSampler,
    GreyImages,
    check_counts,
    find_classes,
    hold_back_of_each,
    plain_crops,
)
from napari_micro_ktnet.training.classifier import ClassTrainer
from napari_micro_ktnet.training.config import without_folders
from napari_micro_ktnet.training.pretrain_config import ClassRecord, EncoderRecord, PretrainConfig
from napari_micro_ktnet.training.reports import Notice, StepReport

ENCODER_FILE = "encoder.safetensors"
RECORD_KEY = "micro_ktnet_encoder"
_METRICS = "metrics.csv"
_MOST_NAMED, _FEW = 20, 5


@dataclass(frozen=True)
class ReadReport:
    """Images were looked at before the training.

    Attributes
    ----------
    done, total : int
        Images.
    """

    done: int
    total: int


@dataclass(frozen=True)
class ClassValidation:
    """One validation is done, on the images held back.

    Attributes
    ----------
    step, steps : int
        Steps done and planned.
    training_loss : float
        Mean over the steps since the last validation.
    loss : float
        Cross-entropy, mean over images.
    names : tuple of str
        Classes.
    correct, counts : tuple of int
        Images of each class that were recognised, and held back. An image's class is the one of
        the highest probability, mean over up to 2 x 2 crops.
    best : bool
        Whether the balanced accuracy is the best so far, of equal ones the one with the lower
        loss; that encoder was saved.
    """

    step: int
    steps: int
    training_loss: float
    loss: float
    names: tuple[str, ...]
    correct: tuple[int, ...]
    counts: tuple[int, ...]
    best: bool

    @property
    def top1(self) -> float:
        """Share of images recognised."""
        return sum(self.correct) / sum(self.counts)

    @property
    def balanced_accuracy(self) -> float:
        """Mean over classes of the share of images recognised."""
        return float(np.mean([c / n for c, n in zip(self.correct, self.counts, strict=True)]))


@dataclass(frozen=True)
class PretrainEnd:
    """All steps are done.

    Attributes
    ----------
    encoder : Path
        The best encoder.
    best : ClassValidation
        Its scores.
    """

    encoder: Path
    best: ClassValidation


PretrainReport = ReadReport | Notice | StepReport | ClassValidation | PretrainEnd


def iter_pretrain(folder: str | Path, output: str | Path, config: PretrainConfig) -> Iterator[PretrainReport]:
    """Train an encoder as a classifier of micrographs, yielding after every step.

    The best encoder by balanced accuracy on held-back images is kept in
    ``output/encoder.safetensors``, which the setting `init` of a training run takes; one row for
    each validation is in ``output/metrics.csv``.

    Parameters
    ----------
    folder : path
        One subfolder of images for each class.
    output : path
        Directory of the result; made if missing.
    config : PretrainConfig
        All settings.

    Raises
    ------
    DataError
        The folders or too many of their images cannot be used.
    ModelError
        The encoder or its starting weights cannot be used.
    InputError
        The output holds an encoder already.
    TrainingError
        The loss is no longer a number, or memory does not
        suffice.
    """
    output = Path(output)
    if (output / ENCODER_FILE).exists():
        raise InputError(
            f"{output} holds a pre-trained encoder already. Choose another directory; to go on from that "
            f"encoder, start from it: --init {output / ENCODER_FILE}"
        )
    config = config.model_copy(update={"encoder": canonical_encoder(config.encoder)})
    found = find_classes(Path(folder))
    trainer = ClassTrainer(config, len(found))
    images = GreyImages(trainer.normalization)
    usable = yield from _usable(found, images)
    training, validation = hold_back_of_each(usable, config.validation_share, config.seed)
    few = [f"{name} {len(files)}" for name, files in validation.items() if len(files) < _FEW]
    if few:
        yield Notice(f"Fewer than {_FEW} images are held back of: {', '.join(few)}. Scores will be coarse.")
    sampler = ClassSampler(training, images, config)
    counts = {name: len(files) for name, files in training.items()}
    best: ClassValidation | None = None
    rows: list[dict[str, object]] = []
    losses: list[float] = []
    for step in range(1, config.steps + 1):
        losses.append(trainer.step(step, sampler))
        yield StepReport(step, config.steps, losses[-1])
        if step % config.validate_every and step < config.steps:
            continue
        report = _validate(trainer, validation, images, step, float(np.mean(losses)), best)
        if report.best:
            best = report
            _save(output / ENCODER_FILE, trainer, report, counts)
        rows.append(_row(report))
        _write_metrics(output / _METRICS, rows)
        losses = []
        yield report
    assert best is not None  # noqa: S101 - the first validation is the best so far
    yield PretrainEnd(output / ENCODER_FILE, best)


def pretrain(folder: str | Path, output: str | Path, config: PretrainConfig) -> Path:
    """Train an encoder as a classifier of micrographs; see `iter_pretrain`.

    Returns
    -------
    Path
        The best encoder, ``output/encoder.safetensors``.
    """
    for _ in iter_pretrain(folder, output, config):
        pass
    return Path(output) / ENCODER_FILE


def _usable(found: ClassFiles, images: GreyImages) -> Generator[PretrainReport, None, dict[str, list[Path]]]:
    """Read every image once: later, a bad one would end the run or change the split."""
    usable: dict[str, list[Path]] = {name: [] for name in found}
    total, done, skipped = sum(map(len, found.values())), 0, 0
    for name, files in found.items():
        for path in files:
            done += 1
            try:
                images[path]
            except (ReadError, InputError) as error:
                skipped += 1
                if skipped <= _MOST_NAMED:
                    yield Notice(f"{name}/{path.name} is left out: {error}")
            else:
                usable[name].append(path)
            yield ReadReport(done, total)
    if skipped > _MOST_NAMED:
        yield Notice(f"{skipped} of {total} images are left out; the first {_MOST_NAMED} were named.")
    if skipped == total:
        raise DataError(
            f"None of the {total} images can be used. Expected grey micrographs as TIFF, PNG, JPEG or BMP; "
            "the reason was given for each."
        )
    check_counts(usable)
    return usable


@torch.inference_mode()
def _validate(
    trainer: ClassTrainer,
    validation: ClassFiles,
    images: GreyImages,
    step: int,
    training_loss: float,
    best: ClassValidation | None,
) -> ClassValidation:
    trainer.network.eval()
    losses, correct = [], []
    for number, files in enumerate(validation.values()):
        hits = 0
        for path in files:
            logits = trainer.logits(plain_crops(images[path], trainer.config.crop))
            probability = logits.softmax(1).mean(0)
            losses.append(-math.log(max(float(probability[number]), 1e-12)))
            hits += int(probability.argmax()) == number
        correct.append(hits)
    counts = tuple(len(files) for files in validation.values())
    scores = (float(np.mean(losses)), tuple(validation), tuple(correct), counts)
    report = ClassValidation(step, trainer.config.steps, training_loss, *scores, best=True)
    if best and (best.balanced_accuracy, -best.loss) >= (report.balanced_accuracy, -report.loss):
        return replace(report, best=False)
    return report


def _save(path: Path, trainer: ClassTrainer, report: ClassValidation, training: dict[str, int]) -> None:
    classes = zip(report.names, training.values(), report.counts, report.correct, strict=True)
    record = EncoderRecord(
        encoder=trainer.config.encoder,
        normalization=trainer.normalization,
        classes=tuple(ClassRecord(name=n, training=t, validation=v, correct=c) for n, t, v, c in classes),
        step=report.step,
        top1=report.top1,
        balanced_accuracy=report.balanced_accuracy,
        validation_loss=report.loss,
        config=trainer.config.model_copy(update={"init": without_folders(trainer.config.init)}),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={n: version(n) for n in ("napari-micro-ktnet", "torch", "segmentation-models-pytorch")},
    )
    state = {k: v.detach().cpu().contiguous() for k, v in trainer.network.encoder.state_dict().items()}
    with replacing(path) as temporary:
        try:
            save_file(state, temporary, metadata={RECORD_KEY: record.model_dump_json()})
        except SafetensorError as error:
            # safetensors reports a failed write (disk full) as an error of its own.
            raise OSError(str(error)) from error


def _row(report: ClassValidation) -> dict[str, object]:
    correct = zip(report.names, report.correct, report.counts, strict=True)
    return {
        "step": report.step,
        "training_loss": report.training_loss,
        "validation_loss": report.loss,
        "top1": report.top1,
        "balanced_accuracy": report.balanced_accuracy,
        "images": sum(report.counts),
        **{f"accuracy_{name}": c / n for name, c, n in correct},
        "best": int(report.best),
    }


def _write_metrics(path: Path, rows: list[dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())
