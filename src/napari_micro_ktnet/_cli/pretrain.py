"""``micro-ktnet pretrain``: an encoder learns to tell classes of micrographs apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from tqdm import tqdm

from napari_micro_ktnet.errors import InputError

if TYPE_CHECKING:
    from napari_micro_ktnet.training.pretrain import ClassValidation, PretrainEnd, PretrainReport
    from napari_micro_ktnet.training.pretrain_config import PretrainConfig

_SETTINGS = (
    *("encoder", "init", "steps", "batch_size", "crop", "lr", "weight_decay", "validation_share"),
    *("validate_every", "seed", "device", "precision"),
)


def add_parsers(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the commands of this module."""
    p = sub.add_parser(
        "pretrain",
        parents=[common],
        help="train an encoder as a classifier of micrographs, as the start of `train`",
    )
    p.add_argument("folder", type=Path, metavar="FOLDER", help="one subfolder of images for each class")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets encoder.safetensors")
    p.add_argument(
        "--encoder", help="any of segmentation-models-pytorch (default timm-tf_efficientnet_lite0)"
    )
    p.add_argument(
        "--init",
        metavar="imagenet|random|PATH",
        help="starting weights (default: imagenet for EfficientNet-Lite0, else random)",
    )
    p.add_argument("--steps", type=int, metavar="N", help="default 500")
    p.add_argument("--batch-size", type=int, metavar="N", help="default 32")
    p.add_argument("--crop", type=int, metavar="N", help="side of crops in pixels, default 224")
    p.add_argument("--lr", type=float, metavar="F", help="peak learning rate, default 5e-4")
    p.add_argument("--weight-decay", type=float, metavar="F", help="default 0.01")
    p.add_argument(
        "--validation-share", type=float, metavar="F", help="of the images of each class, default 0.2"
    )
    p.add_argument("--validate-every", type=int, metavar="N", help="steps, default 50")
    p.add_argument("--seed", type=int, metavar="N")
    p.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:N, mps")
    p.add_argument("--precision", choices=["auto", "float32", "bfloat16"])
    p.set_defaults(run=pretrain)


def pretrain(options: argparse.Namespace) -> int:
    """Train an encoder."""
    from napari_micro_ktnet.training.pretrain import iter_pretrain

    config = _config(options)
    return _follow(iter_pretrain(options.folder, options.output, config), config)


def _config(options: argparse.Namespace) -> PretrainConfig:
    from napari_micro_ktnet.model.encoders import LITE0, canonical_encoder
    from napari_micro_ktnet.training.config import wrong_setting
    from napari_micro_ktnet.training.pretrain_config import PretrainConfig

    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    encoder = canonical_encoder(given.pop("encoder", LITE0))
    given.setdefault("init", "imagenet" if encoder == LITE0 else "random")
    try:
        return PretrainConfig(encoder=encoder, **given)
    except ValidationError as error:
        raise InputError(wrong_setting(error)) from error


def _follow(reports: Iterable[PretrainReport], config: PretrainConfig) -> int:
    """Show the progress to the end."""
    from napari_micro_ktnet.training.pretrain import ClassValidation, PretrainEnd, ReadReport
    from napari_micro_ktnet.training.reports import Notice, StepReport

    reading = tqdm(desc="reading", unit="image", leave=False, disable=None)
    training = None
    try:
        for report in reports:
            if isinstance(report, ReadReport):
                reading.total = report.total
                reading.update()
            elif isinstance(report, Notice):
                tqdm.write(f"micro-ktnet: {report.text}", file=sys.stderr)
            elif isinstance(report, StepReport):
                if training is None:
                    reading.close()
                    training = tqdm(total=report.steps, desc="pre-training", unit="step", disable=None)
                training.update()
                training.set_postfix_str(f"loss {report.loss:.4f}")
            elif isinstance(report, ClassValidation):
                best = "  best so far, saved" if report.best else ""
                tqdm.write(f"step {report.step}: {_scores(report)}, loss {report.loss:.4f}{best}")
            elif isinstance(report, PretrainEnd):
                _conclude(report, config)
    finally:
        reading.close()
        if training is not None:
            training.close()
    return 0


def _scores(report: ClassValidation) -> str:
    return (
        f"held-back images recognised {sum(report.correct)} of {sum(report.counts)} "
        f"(top-1 {report.top1:.3f}, mean over classes {report.balanced_accuracy:.3f})"
    )


def _conclude(end: PretrainEnd, config: PretrainConfig) -> None:
    best = end.best
    classes = zip(best.names, best.correct, best.counts, strict=True)
    print(f"Best at step {best.step}: {_scores(best)}")
    print("By class: " + ", ".join(f"{name} {c} of {n}" for name, c, n in classes))
    print(
        f"The encoder is {end.encoder}. Use it with: micro-ktnet train --images DIR --masks DIR "
        f"--output DIR --encoder {config.encoder} --init {end.encoder}"
    )
