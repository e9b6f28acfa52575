"""Scores of models on images of another scale, noise, focus, gamma or brightness than they were annotated at.

    python benchmarks/changed_images.py --data DATA --models 'WORK/fold-average-{fold}/model.safetensors' ...

DATA is a folder with `agglomerates` (images, masks). Each model stands for four, one for each fold of
`training_scores.py`: an image is scored by the one that never saw it. Pooled: over the pixels of all images;
mean: of the IoU of each image. Threshold 0.5.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize
from training_scores import FOLDS

from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.synthetic.caption import add_caption
from napari_micro_ktnet.training.folders import read_folder

Field = NDArray[np.float32]
Change = Callable[[Field, NDArray[np.uint8]], tuple[Field, NDArray[np.uint8]]]


def scaled(factor: float) -> Change:
    """Enlarge image and mask ``(Y, X)``."""

    def change(image: Field, mask: NDArray[np.uint8]) -> tuple[Field, NDArray[np.uint8]]:
        shape = [round(n * factor) for n in image.shape]
        small = resize(image, shape, order=1, anti_aliasing=factor < 1)
        return small, (resize(mask.astype(float), shape, order=0) > 0.5).astype(np.uint8)

    return change


def grey(function: Callable[[Field], Field]) -> Change:
    """Change grey values, 0 to 255, alone."""
    return lambda image, mask: (function(image).astype(np.float32), mask)


def noisy(image: Field) -> Field:
    """Add the same noise to every image of a shape."""
    return image + np.random.default_rng(0).normal(0, 30, image.shape)


def with_caption(image: Field, mask: NDArray[np.uint8]) -> tuple[Field, NDArray[np.uint8]]:
    """Burn text and a scale bar into it, other ones in each image."""
    pixels = image.astype(np.uint8)
    add_caption(np.random.default_rng(int(mask.sum())), pixels, 20.0)
    return pixels.astype(np.float32), mask


CHANGES: dict[str, Change] = {
    "none": grey(lambda x: x),
    "0.35 times as large": scaled(0.35),
    "0.5 times": scaled(0.5),
    "2 times": scaled(2),
    "noise, standard deviation 30": grey(noisy),
    "blur, 2.5 px": grey(lambda x: ndimage.gaussian_filter(x, 2.5)),
    "gamma 2.2": grey(lambda x: (x / 255) ** 2.2 * 255),
    "gamma 0.45": grey(lambda x: (x / 255) ** 0.45 * 255),
    "brightness 0.4 to 1.3": grey(lambda x: x * np.linspace(0.4, 1.3, x.shape[1])),
    "contrast x 1.8, clipped": grey(lambda x: np.clip(x * 1.8 - 40, 0, 255)),
    "text and a scale bar burnt in": with_caption,
}


def main() -> None:
    """Print a row for each change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    args = parser.parse_args()
    folder = args.data / "agglomerates"
    pairs = {Path(pair.name).stem: pair for pair in read_folder(folder / "images", folder / "masks").pairs}
    for name, change in CHANGES.items():
        row = []
        for pattern in args.models:
            found = []
            for number, names in enumerate(FOLDS):
                model = load_model(pattern.format(fold=number))
                for pair in (pairs[n] for n in names):
                    image, mask = change(pair.pixels.astype(np.float32), pair.mask)
                    found.append(confusion_matrix(segment(image, model).labels(), mask, 2))
            pooled = scores_from_confusion(np.sum(found, axis=0))[0].iou
            row.append(f"{pooled:.3f} / {np.mean([scores_from_confusion(m)[0].iou for m in found]):.3f}")
        print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
