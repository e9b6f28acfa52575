"""Scores of fine-tuning on images that were held back: quick preset, few labels, and NASA's Super1.

    python benchmarks/training_scores.py quick      --data DATA --work WORK
    python benchmarks/training_scores.py few-labels --data DATA --work WORK --start MODEL
    python benchmarks/training_scores.py super1     --data DATA --work WORK

DATA is a folder with `agglomerates` (images, masks) and `nasa/Super1`. WORK holds the runs; one that is
finished is not repeated. Nothing is chosen by the images that are scored: each run validates on images, or
on a part of the image, that it holds back from its own. MODEL must not have seen the agglomerates: what
`scripts/train_starter.py pretrain` makes from synthetic scenes alone is one.

- quick: `--init imagenet --preset quick`, four folds by image, each scored on its two images.
- few-labels: `--preset quick --steps 150` from MODEL, in the same folds: all pixels against strokes that
  cover 1 % of them; then one image alone, scored on all the others.
- super1: three classes, trained on `train`, scored on `val`, also with the metric of NASA's notebook: IoU
  over the channels of all classes, matrix included, at threshold 0.5.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_micro_ktnet.measurement.evaluation import evaluate
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.training.config import TrainingConfig, preset
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.folders import read_folder
from napari_micro_ktnet.training.loop import iter_train
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.reports import ValidationReport
from napari_micro_ktnet.training.split import split_pairs

# One dense and one dilute or cluttered field in each fold; those of scripts/starter_data.py.
FOLDS = (
    ("10C3_0", "point5un_1"),
    ("10un_0", "2C3_0"),
    ("5C3_0", "point5C3_0"),
    ("5un_0", "2un_0"),
)
ONE_IMAGE = ("5un_0", "2un_0")
SUPER1_COLORS = {"secondary": (0, 0, 255), "tertiary": (255, 0, 0)}


def scribble(mask: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.uint8]:
    """Keep strokes, 5 px wide and up to 60 px long, half of them on matrix; the rest is not annotated.

    Parameters
    ----------
    mask : ndarray of uint8, (Y, X)
        0 is matrix.
    share : float
        Of all pixels. Where a class is rare, at most half of it is annotated.
    """
    rng = np.random.default_rng((seed, mask.size))
    kept = np.zeros(mask.shape, bool)
    for value in (0, 1):
        inside = np.argwhere(mask == value)
        wanted = min(share / 2 * mask.size, len(inside) / 2)
        own = np.zeros(mask.shape, bool)
        while own.sum() < wanted:
            start, angle = inside[rng.integers(len(inside))], rng.uniform(0, np.pi)
            along = np.arange(rng.integers(10, 61))[:, None] * (np.sin(angle), np.cos(angle)) + start
            rows, columns = along.round().astype(int).T
            on = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
            stroke = np.zeros(mask.shape, bool)
            stroke[rows[on], columns[on]] = True
            own |= ndimage.binary_dilation(stroke, np.ones((5, 5), bool)) & (mask == value)
        kept |= own
    return np.where(kept, mask, IGNORE).astype(np.uint8)


def train(pairs: Sequence[ImagePair], output: Path, config: TrainingConfig) -> float:
    """Train as `micro-ktnet train` does, unless that is done; give the minutes it took."""
    record = output / "minutes.json"
    if not record.is_file():
        split, start = split_pairs(pairs, seed=config.seed), time.monotonic()
        for report in iter_train(split.training, split.validation, output, config):
            if isinstance(report, ValidationReport):
                print(f"{output.name} step {report.step} IoU {report.pooled[0].iou:.4f}", flush=True)
        record.write_text(json.dumps((time.monotonic() - start) / 60))
    return float(json.loads(record.read_text()))


def predicted(
    model: Path, pairs: Iterable[ImagePair]
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Labels and truth by name."""
    return {p.name: (segment(SEMImage(p.pixels), model).labels(), p.mask) for p in pairs}


def show(
    what: str, found: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]], minutes: Sequence[float]
) -> None:
    """Print scores of the class besides matrix, pooled and as a mean over images."""
    result = evaluate([p for p, _ in found.values()], [t for _, t in found.values()])
    name = result.classes[0]
    images = {image: round(s[name].pixels.iou, 3) for image, s in zip(found, result.per_image, strict=True)}
    print(
        f"{what}: pooled IoU {result.pooled[name].pixels.iou:.4f}, mean "
        f"{result.mean_per_image[name]['iou'].value:.4f}, {np.mean(minutes):.1f} min a run; {images}",
        flush=True,
    )


def folds(
    what: str, pairs: Sequence[ImagePair], truth: Sequence[ImagePair], work: Path, config: TrainingConfig
) -> None:
    """Train on all but the images of a fold, and score those."""
    found, minutes = {}, []
    for number, names in enumerate(FOLDS):
        output = work / f"{what}-{number}"
        minutes.append(train([p for p in pairs if stem(p) not in names], output, config))
        found |= predicted(output / "model.safetensors", [p for p in truth if stem(p) in names])
    show(what, found, minutes)


def stem(pair: ImagePair) -> str:
    """Name without its suffix."""
    return Path(pair.name).stem


def quick(pairs: Sequence[ImagePair], args: argparse.Namespace) -> None:
    """Quick preset from ImageNet weights."""
    folds("quick", pairs, pairs, args.work, preset("quick", init="imagenet"))


def few_labels(pairs: Sequence[ImagePair], args: argparse.Namespace) -> None:
    """Strokes against full masks, and one image alone."""
    config = preset("quick", init=str(args.start), steps=150)
    strokes = [replace(p, mask=scribble(p.mask, 0.01, i)) for i, p in enumerate(pairs)]
    shares = [float((p.mask != IGNORE).mean()) for p in strokes]
    print(f"strokes cover {100 * min(shares):.2f} to {100 * max(shares):.2f} % of an image")
    show("start", predicted(args.start, pairs), [0])
    folds("full", pairs, pairs, args.work, config)
    folds("strokes", strokes, pairs, args.work, config)
    for name in ONE_IMAGE:
        output = args.work / f"one-{name}"
        minutes = train([p for p in pairs if stem(p) == name], output, config)
        others = [p for p in pairs if stem(p) != name]
        show(f"one image ({name})", predicted(output / "model.safetensors", others), [minutes])


def super1(args: argparse.Namespace) -> None:
    """Three classes; NASA's metric beside ours."""
    folder, config = args.data / "nasa" / "Super1", preset("quick", init="imagenet")
    data = read_folder(folder / "train", folder / "train_annot", SUPER1_COLORS)
    held = read_folder(folder / "val", folder / "val_annot", SUPER1_COLORS).pairs
    output = args.work / "super1"
    minutes = train(data.pairs, output, config.model_copy(update={"classes": data.classes}))
    both = union = 0
    labels = []
    for pair in held:
        result = segment(SEMImage(pair.pixels), output / "model.safetensors")
        channels = result.probability > 0.5
        truth = np.stack([pair.mask == value for value in range(3)])
        both, union = both + (channels & truth).sum(), union + (channels | truth).sum()
        labels.append((result.labels(), pair.mask))
    names = [entry.name for entry in data.classes]
    scores = evaluate([p for p, _ in labels], [t for _, t in labels], classes=names)
    ious = {name: round(s.pixels.iou, 4) for name, s in scores.pooled.items()}
    print(
        f"Super1 val: IoU over the channels of all classes {both / union:.4f}; "
        f"pooled {ious}; {minutes:.1f} min"
    )


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["quick", "few-labels", "super1"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="model to begin few-labels with")
    args = parser.parse_args()
    if args.what == "few-labels" and args.start is None:
        parser.error("few-labels needs --start")
    print(f"{args.what}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if args.what == "super1":
        super1(args)
        return
    folder = args.data / "agglomerates"
    pairs = read_folder(folder / "images", folder / "masks").pairs
    (quick if args.what == "quick" else few_labels)(pairs, args)


if __name__ == "__main__":
    main()
