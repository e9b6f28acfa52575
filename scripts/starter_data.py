"""What the starter model learns from and is scored on: synthetic scenes, and the folds of real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.synthetic import SceneSpec, random_scene, render
from napari_micro_ktnet.synthetic.caption import add_caption
from napari_micro_ktnet.training.config import AugmentConfig
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

HELD_OUT, SIDE = 24, 512
# What lies under the powders among the scenes.
SUPPORTS = ("dark_support", "membrane")
# One dense and one dilute or cluttered field in each fold.
FOLDS = (
    ("10C3_0", "point5un_1"),
    ("10un_0", "2C3_0"),
    ("5C3_0", "point5C3_0"),
    ("5un_0", "2un_0"),
)
# For images of the instrument that will be used: turned, a little brighter or darker, and no more.
MILD = AugmentConfig(
    horizontal_flip=0.5,
    vertical_flip=0.5,
    transpose=0.5,
    brightness=0.2,
    contrast=0.2,
    gamma=0,
    blur=0,
    sharpen=0,
)
# Columns beside a strip that are not learnt either, so that hardly any agglomerate is both learnt and scored.
GAP = 48


def as_annotated(labels: np.ndarray) -> np.ndarray:
    """Outline instances ``(Y, X)`` as a person would: small gaps between particles are filled."""
    mask = ndimage.binary_closing(np.pad(labels > 0, 3, mode="edge"), iterations=2)[3:-3, 3:-3] | (labels > 0)
    holes, count = ndimage.label(~mask)
    small = np.flatnonzero(np.bincount(holes.ravel(), minlength=count + 1) < 60)
    return mask | np.isin(holes, small[small > 0])


def scene_spec(number: int) -> SceneSpec:
    """Draw what a synthetic scene shows."""
    return random_scene(np.random.default_rng((2026, number)))


def synthetic_pairs(work: Path, scenes: int) -> list[ImagePair]:
    """Render the scenes once and keep them."""
    path = work / "synthetic.npz"
    if not path.is_file():
        images, masks = [], []
        for seed in range(scenes):
            scene = render(scene_spec(seed), (SIDE, SIDE), seed)
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


def powders(scenes: Sequence[ImagePair]) -> list[ImagePair]:
    """Choose the synthetic scenes that show powders on a support."""
    return [pair for pair in scenes if scene_spec(int(pair.name.split("-")[-1])).matrix in SUPPORTS]


def real_pairs(folder: Path) -> list[ImagePair]:
    """Agglomerates: mask 255."""
    pairs = []
    for path in sorted((folder / "images").iterdir()):
        mask = read_sem(folder / "masks" / f"{path.stem}.png").pixels > 127
        pairs.append(ImagePair(path.stem, read_sem(path).pixels, mask.astype(np.uint8)))
    return pairs


def captioned(pairs: Sequence[ImagePair], copies: int = 4) -> list[ImagePair]:
    """Copy 8-bit images with text and a scale bar burnt in, so that real images teach to leave text out."""
    found = []
    for number, pair in enumerate(pairs):
        for copy in range(copies):
            rng = np.random.default_rng((2026, number, copy))
            pixels = pair.pixels.astype(np.uint8)
            add_caption(rng, pixels, float(np.exp(rng.uniform(np.log(1), np.log(200)))))
            found.append(replace(pair, name=f"{pair.name}-captioned-{copy}", pixels=pixels))
    return found


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
