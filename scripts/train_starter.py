"""Make the starter model: synthetic pre-training, cross-validation of recipes, final training.

    python scripts/train_starter.py render        --work WORK
    python scripts/train_starter.py pretrain      --work WORK
    python scripts/train_starter.py folds         --work WORK --data DATA --recipe NAME [--split strips]
    python scripts/train_starter.py final         --work WORK --data DATA --recipe NAME --seed N
    python scripts/train_starter.py average-folds --work WORK --data DATA --members NAME-STEPS NAME-STEPS ...
    python scripts/train_starter.py average-final --work WORK --data DATA --members NAME-STEPS NAME-STEPS ...

DATA is a folder with `agglomerates` (images, masks) and `dt_segnet` (images, masks). WORK holds
what is made; a stage that is done is not done again. The folds hold back whole images, so specimens never
seen; with `--split strips` a quarter of the width of every image, so fields of a specimen that is known. The
last two take the mean of the weights along one fine-tuning, which keeps most of what either end is better
at (Wortsman et al. 2022, CVPR, arXiv:2109.01903): fold by fold for its score, and of the final models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.checkpoint import HistoryEntry, read_checkpoint_info, save_checkpoint
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage, read_sem
from napari_micro_ktnet.synthetic import random_scene, render
from napari_micro_ktnet.training.config import TrainingConfig, preset
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.loop import iter_resume, iter_train
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.reports import StepReport, ValidationReport
from napari_micro_ktnet.training.run import RUN_FILE, Run
from napari_micro_ktnet.training.validation import evaluate_pairs

STAGES = ("render", "pretrain", "folds", "final", "average-folds", "average-final")
HELD_OUT, SIDE = 24, 512
# One dense and one dilute or cluttered field in each fold.
FOLDS = (
    ("10C3_0", "point5un_1"),
    ("10un_0", "2C3_0"),
    ("5C3_0", "point5C3_0"),
    ("5un_0", "2un_0"),
)
# Columns beside a strip that are neither learnt nor scored, so that hardly any agglomerate counts for both.
GAP = 48
# Shares of crops from real agglomerates, from synthetic scenes and from dt_segnet; what training starts from,
# which may be another recipe's model for the same images.
RECIPES: dict[str, dict[str, object]] = {
    "real": {"shares": (1.0, 0.0, 0.0), "init": "imagenet"},
    "pretrained": {"shares": (1.0, 0.0, 0.0), "init": "pretrained"},
    "mixed": {"shares": (0.6, 0.4, 0.0), "init": "pretrained"},
    "mostly-real": {"shares": (0.75, 0.25, 0.0), "init": "pretrained"},
    "then-real": {"shares": (1.0, 0.0, 0.0), "init": "mostly-real"},
    "mixed-then-real": {"shares": (1.0, 0.0, 0.0), "init": "mixed"},
    "mixed-dt": {"shares": (0.5, 0.35, 0.15), "init": "pretrained"},
}


def as_annotated(labels: np.ndarray) -> np.ndarray:
    """Outline instances ``(Y, X)`` as a person would: small gaps between particles are filled."""
    mask = ndimage.binary_closing(np.pad(labels > 0, 3, mode="edge"), iterations=2)[3:-3, 3:-3] | (labels > 0)
    holes, count = ndimage.label(~mask)
    small = np.flatnonzero(np.bincount(holes.ravel(), minlength=count + 1) < 60)
    return mask | np.isin(holes, small[small > 0])


def synthetic_pairs(work: Path, scenes: int) -> list[ImagePair]:
    """Render the scenes once and keep them."""
    path = work / "synthetic.npz"
    if not path.is_file():
        images, masks = [], []
        for seed in range(scenes):
            scene = render(random_scene(np.random.default_rng((2026, seed))), (SIDE, SIDE), seed)
            mask = as_annotated(scene.labels).astype(np.uint8)
            if scene.data_bar_rows:
                mask[-scene.data_bar_rows :] = IGNORE
            images.append(scene.pixels)
            masks.append(mask)
        work.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name("unfinished.npz")
        np.savez_compressed(unfinished, images=np.stack(images), masks=np.stack(masks))
        unfinished.replace(path)
    data = np.load(path)
    return [
        ImagePair(f"synthetic-{i}", x, m)
        for i, (x, m) in enumerate(zip(data["images"], data["masks"], strict=True))
    ]


def real_pairs(folder: Path) -> list[ImagePair]:
    """Agglomerates: mask 255."""
    pairs = []
    for path in sorted((folder / "images").iterdir()):
        mask = read_sem(folder / "masks" / f"{path.stem}.png").pixels > 127
        pairs.append(ImagePair(path.stem, read_sem(path).pixels, mask.astype(np.uint8)))
    return pairs


def dt_pairs(folder: Path) -> list[ImagePair]:
    """Particles of DT_SegNet: green in the colour mask."""
    pairs = []
    for path in sorted((folder / "images").glob("*.png")):
        mask = read_sem(folder / "masks" / path.name).pixels
        pairs.append(
            ImagePair(
                f"dt-{path.stem}", read_sem(path).pixels, (mask[..., 1] > mask[..., 0]).astype(np.uint8)
            )
        )
    return pairs


@dataclass(frozen=True)
class Fold:
    """Images to learn from, and columns of images to be scored on."""

    training: list[ImagePair]
    scored: list[tuple[ImagePair, slice]]


def image_folds(real: Sequence[ImagePair]) -> list[Fold]:
    """Hold back whole images."""
    return [
        Fold(
            [pair for pair in real if pair.name not in names],
            [(pair, slice(None)) for pair in real if pair.name in names],
        )
        for names in FOLDS
    ]


def strip_folds(real: Sequence[ImagePair]) -> list[Fold]:
    """Hold back a strip of every image."""
    folds = []
    for number in range(len(FOLDS)):
        fold = Fold([], [])
        for pair in real:
            width = pair.mask.shape[1]
            left, right = (n * width // len(FOLDS) for n in (number, number + 1))
            mask = pair.mask.copy()
            mask[:, max(0, left - GAP) : right + GAP] = IGNORE
            fold.training.append(replace(pair, mask=mask))
            fold.scored.append((pair, slice(left, right)))
        folds.append(fold)
    return folds


SPLITS = {"images": ("fold", image_folds), "strips": ("strip", strip_folds)}


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


def configure(recipe: str, work: Path, steps: int, before: Path, **overrides: object) -> TrainingConfig:
    """Collect the settings of a recipe; `before` is the folder of the recipe that it goes on from, if any."""
    init = str(RECIPES[recipe]["init"])
    if init != "imagenet":
        folder = work / "pretrain" if init == "pretrained" else before
        init = str(folder / "model.safetensors")
    return preset("quick", init=init, steps=steps, validate_every=steps, **overrides)


def main() -> None:
    """Run one stage."""
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
    overrides = {
        "crop": args.crop,
        "batch_size": args.batch_size,
        "ema": args.ema,
        "seed": args.seed,
        "lr_encoder": 4e-4 * args.lr_scale,
        "lr_decoder": 1.5e-3 * args.lr_scale,
    }
    scenes = synthetic_pairs(args.work, args.scenes)
    training, held_out = scenes[HELD_OUT:], scenes[:HELD_OUT]
    if args.stage == "pretrain":
        config = preset("quick", init=args.init, steps=args.steps, validate_every=args.steps, **overrides)
        run(training, held_out, args.work / "pretrain", config)
    if args.stage in ("pretrain", "render") or args.data is None:
        return
    real, dt = real_pairs(args.data / "agglomerates"), dt_pairs(args.data / "dt_segnet")
    if args.stage == "average-final":
        average([args.work / f"final-{m}-{args.seed}" for m in args.members], args.work / "average")
        return
    prefix, split = SPLITS[args.split]
    folds = split(real)
    if args.stage == "average-folds":
        folders = [args.work / f"{prefix}-average-{number}" for number in range(len(folds))]
        for number, folder in enumerate(folders):
            average([args.work / f"{prefix}-{m}-{number}" for m in args.members], folder)
        score_folds(folders, folds, args.work / f"{prefix}s-average.json", held_out)
        return
    recipe = RECIPES[args.recipe]
    shares, name, before = recipe["shares"], f"{args.recipe}-{args.steps}", f"{recipe['init']}-{args.after}"
    if args.stage == "final":
        output, start = (args.work / f"final-{n}-{args.seed}" for n in (name, before))
        config = configure(args.recipe, args.work, args.steps, start, **overrides)
        run(weighted((real, training, dt), shares), held_out, output, config)
        return
    folders = []
    for number, fold in enumerate(folds):
        output, start = (args.work / f"{prefix}-{n}-{number}" for n in (name, before))
        folders.append(output)
        if not (output / "model.safetensors").is_file():
            config = configure(args.recipe, args.work, args.steps, start, **overrides)
            run(weighted((fold.training, training, dt), shares), held_out, output, config)
    score_folds(folders, folds, args.work / f"{prefix}s-{name}.json", held_out)


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
    save_checkpoint(output / "model.safetensors", models[0].network, models[0].spec, (*entries, entry))


def score_folds(
    folders: Sequence[Path], folds: Sequence[Fold], target: Path, held_out: Sequence[ImagePair]
) -> None:
    """Score what each model never saw, pooled over all and by image; synthetic scenes fold by fold."""
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
