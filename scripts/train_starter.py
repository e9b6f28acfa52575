"""Make the starter model: synthetic pre-training, cross-validation of recipes, final training.

    python scripts/train_starter.py render        --work WORK
    python scripts/train_starter.py pretrain      --work WORK
    python scripts/train_starter.py folds         --work WORK --data DATA --recipe NAME [--split strips]
    python scripts/train_starter.py final         --work WORK --data DATA --recipe NAME --seed N
    python scripts/train_starter.py average-folds --work WORK --data DATA --members NAME-STEPS NAME-STEPS ...
    python scripts/train_starter.py average-final --work WORK --data DATA --members NAME-STEPS NAME-STEPS ...

DATA is a folder with `agglomerates` (images, masks) and `dt_segnet` (images, masks). WORK holds
what is made; a stage that is done is not done again. The folds hold back whole images, so specimens never
seen; with `--split strips` a quarter of the width of every image, of which the rest is learnt. The
last two take the mean of the weights along one fine-tuning, which keeps most of what either end is better
at (Wortsman et al. 2022, CVPR, arXiv:2109.01903): fold by fold for its score, and of the final models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from starter_data import (
    HELD_OUT,
    MILD,
    SPLITS,
    Fold,
    captioned,
    dt_pairs,
    powders,
    real_pairs,
    synthetic_pairs,
)

from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.checkpoint import HistoryEntry, read_checkpoint_info, save_checkpoint
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.model.spec import Orientations
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.training.config import TrainingConfig, preset
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.loop import iter_resume, iter_train
from napari_micro_ktnet.training.reports import StepReport, ValidationReport
from napari_micro_ktnet.training.run import RUN_FILE, Run
from napari_micro_ktnet.training.validation import evaluate_pairs

STAGES = ("render", "pretrain", "folds", "final", "average-folds", "average-final")
# Shares of crops from real agglomerates, synthetic scenes, those of them with powders, and dt_segnet; and
# what training starts from, which may be another recipe's model for the same images. Mild ones vary real
# crops less than synthetic ones.
RECIPES: dict[str, dict[str, Any]] = {
    "real": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "imagenet"},
    "pretrained": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "pretrained"},
    "mixed": {"shares": (0.6, 0.4, 0.0, 0.0), "init": "pretrained"},
    "mostly-real": {"shares": (0.75, 0.25, 0.0, 0.0), "init": "pretrained"},
    "then-real": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "mostly-real"},
    "mixed-then-real": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "mixed"},
    "mixed-then-mostly-real": {"shares": (0.85, 0.15, 0.0, 0.0), "init": "mixed"},
    "mixed-then-powders": {"shares": (0.85, 0.0, 0.15, 0.0), "init": "mixed"},
    "mixed-dt": {"shares": (0.5, 0.35, 0.0, 0.15), "init": "pretrained"},
    "real-mild": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "imagenet", "mild": True},
    "mixed-mild": {"shares": (0.6, 0.4, 0.0, 0.0), "init": "pretrained", "mild": True},
    "mixed-then-real-mild": {"shares": (1.0, 0.0, 0.0, 0.0), "init": "mixed-mild", "mild": True},
    "mixed-then-mostly-real-mild": {"shares": (0.85, 0.15, 0.0, 0.0), "init": "mixed-mild", "mild": True},
}

# Mirrored copies of an image that an averaged model takes the mean over.
ORIENTATIONS: Orientations = 4
# Peak learning rates of encoder and decoder, and those of mild recipes.
RATES, MILD_RATES = (4e-4, 1.5e-3), (1e-3, 1e-3)
# Share of the real crops that come from copies with text burnt in.
CAPTIONED = 0.3


def weighted(groups: Sequence[Sequence[ImagePair]], shares: Sequence[float]) -> list[ImagePair]:
    """Give each group its share of the crops, spread evenly over its images."""
    return [
        replace(pair, weight=share / len(group))
        for group, share in zip(groups, shares, strict=True)
        if share > 0
        for pair in group
    ]


def run(
    training: Sequence[ImagePair], validation: Sequence[ImagePair], output: Path, config: TrainingConfig
) -> None:
    """Train to the last step, from where it was stopped if it was, printing the loss now and then."""
    start, losses = time.monotonic(), []
    if (output / RUN_FILE).is_file():
        reports = iter_resume(Run(output), training, validation)
    else:
        reports = iter_train(training, validation, output, config)
    for report in reports:
        if isinstance(report, StepReport):
            losses.append(report.loss)
            if report.step % 50 == 0:
                seconds, mean = time.monotonic() - start, np.mean(losses[-50:])
                print(f"{output.name} step {report.step} loss {mean:.4f} {seconds:.0f} s", flush=True)
        elif isinstance(report, ValidationReport):
            print(f"{output.name} step {report.step} pooled IoU {report.pooled[0].iou:.4f}", flush=True)


def configure(args: argparse.Namespace, init: str, rates: tuple[float, float] = RATES) -> TrainingConfig:
    """Collect the settings of a training."""
    return preset(
        "quick",
        init=init,
        steps=args.steps,
        validate_every=args.steps,
        crop=args.crop,
        batch_size=args.batch_size,
        ema=args.ema,
        seed=args.seed,
        lr_encoder=rates[0] * args.lr_scale,
        lr_decoder=rates[1] * args.lr_scale,
    )


def train_recipe(
    args: argparse.Namespace,
    folder: str,
    real: Sequence[ImagePair],
    scenes: Sequence[ImagePair],
    held_out: Sequence[ImagePair],
) -> None:
    """Train on some real images, unless it is done; `folder` is a pattern for the names of recipes."""
    recipe = RECIPES[args.recipe]
    output: Path = args.work / folder.format(f"{args.recipe}-{args.steps}")
    init = str(recipe["init"])
    if init != "imagenet":
        before = "pretrain" if init == "pretrained" else folder.format(f"{init}-{args.after}")
        init = str(args.work / before / "model.safetensors")
    if not (output / "model.safetensors").is_file():
        mild = recipe.get("mild", False)
        real = [replace(pair, augment=MILD if mild else None) for pair in real]
        groups = (real, captioned(real), scenes, powders(scenes), dt_pairs(args.data / "dt_segnet"))
        share, *others = recipe["shares"]
        shares = (share * (1 - CAPTIONED), share * CAPTIONED, *others)
        run(weighted(groups, shares), held_out, output, configure(args, init, MILD_RATES if mild else RATES))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", choices=list(RECIPES), default="mixed")
    parser.add_argument("--split", choices=list(SPLITS), default="images")
    parser.add_argument("--scenes", type=int, default=640, help="synthetic scenes to render")
    parser.add_argument("--init", default="imagenet", help="what pre-training starts from, a model to go on")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--ema", type=float, default=0.98)
    parser.add_argument("--lr-scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--after", type=int, default=150, help="steps of the recipe that is gone on from")
    parser.add_argument("--members", nargs="+", help="recipes and their steps, to average")
    args = parser.parse_args()
    if args.stage not in ("render", "pretrain") and args.data is None:
        parser.error(f"{args.stage} needs --data")
    if args.stage.startswith("average") and not args.members:
        parser.error(f"{args.stage} needs --members")
    return args


def main() -> None:
    """Run one stage."""
    args = parse_arguments()
    work = args.work
    scenes = synthetic_pairs(work, args.scenes)
    training, held_out = scenes[HELD_OUT:], scenes[:HELD_OUT]
    if args.stage == "pretrain":
        run(training, held_out, work / "pretrain", configure(args, args.init))
    if args.stage in ("pretrain", "render"):
        return
    real = real_pairs(args.data / "agglomerates")
    prefix, split = SPLITS[args.split]
    folds = list(enumerate(split(real)))
    if args.stage == "final":
        train_recipe(args, f"final-{{}}-{args.seed}", real, training, held_out)
    elif args.stage == "average-final":
        average([work / f"final-{m}-{args.seed}" for m in args.members], work / "average")
    else:
        if args.stage == "folds":
            name = f"{args.recipe}-{args.steps}"
            for number, fold in folds:
                train_recipe(args, f"{prefix}-{{}}-{number}", fold.training, training, held_out)
        else:
            name = "average"
            for number, _ in folds:
                members = [work / f"{prefix}-{m}-{number}" for m in args.members]
                average(members, work / f"{prefix}-average-{number}")
        folders = [work / f"{prefix}-{name}-{number}" for number, _ in folds]
        score_folds(folders, [fold for _, fold in folds], work / f"{prefix}s-{name}.json", held_out)


def average(members: Sequence[Path], output: Path) -> None:
    """Average the weights of models that began from the same one, running statistics included."""
    models = [load_model(folder / "model.safetensors") for folder in members]
    states = [model.network.state_dict() for model in models]
    mean = {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in states[0].items()
    }
    models[0].network.load_state_dict(mean)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    entries = tuple(read_checkpoint_info(folder / "model.safetensors").history[-1] for folder in members)
    entry = HistoryEntry(what="averaged", when=when, details={"members": len(members)})
    spec = models[0].spec.model_copy(update={"orientations": ORIENTATIONS})
    save_checkpoint(output / "model.safetensors", models[0].network, spec, (*entries, entry))


def score_folds(
    folders: Sequence[Path], folds: Sequence[Fold], target: Path, held_out: Sequence[ImagePair]
) -> None:
    """Score what each model never saw, pooled over all and by image; synthetic scenes fold by fold.

    Real images in the model's own number of orientations, synthetic scenes in one.
    """
    matrices: dict[str, np.ndarray] = {}
    synthetic = []
    for folder, fold in zip(folders, folds, strict=True):
        model = load_model(folder / "model.safetensors")
        for pair, columns in fold.scored:
            labels = segment(SEMImage(pair.pixels), model).labels()
            found = confusion_matrix(labels[:, columns], pair.mask[:, columns], 2)
            matrices[pair.name] = matrices.get(pair.name, 0) + found
        synthetic.append(evaluate_pairs(model, held_out)[0][0].iou)
    images = {name: scores_from_confusion(m)[0].iou for name, m in matrices.items()}
    pooled = scores_from_confusion(np.sum(list(matrices.values()), axis=0))[0]
    record = {"pooled": vars(pooled), "mean_iou": float(np.mean(list(images.values()))), "images": images}
    record["synthetic_held_out_iou"] = synthetic
    target.write_text(json.dumps(record, indent=1))
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
