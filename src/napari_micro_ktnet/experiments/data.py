"""The images of an experiment and who trains on which: the same for every entry, nothing in both parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.experiments.config import ExperimentConfig, ExperimentData
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.folders import AnnotatedFolder, read_folder
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.split import refuse_twins


@dataclass(frozen=True, eq=False)
class ExperimentImages:
    """All annotated images of an experiment.

    Attributes
    ----------
    pairs : tuple of ImagePair
        To train on; cross-validated where there is no fixed test set. Names differ.
    test : tuple of ImagePair
        The fixed test set; empty without one.
    classes : tuple of LabelClass
        Classes besides matrix.
    """

    pairs: tuple[ImagePair, ...]
    test: tuple[ImagePair, ...]
    classes: tuple[LabelClass, ...]


@dataclass(frozen=True, eq=False)
class Fold:
    """A division of the images.

    Attributes
    ----------
    number : int
        From 0.
    training, scored : tuple of ImagePair
        Both hold at least one; no image is in both.
    """

    number: int
    training: tuple[ImagePair, ...]
    scored: tuple[ImagePair, ...]


def load_images(data: ExperimentData) -> ExperimentImages:
    """Read the images of an experiment.

    Raises
    ------
    DataError
        Files do not pair, masks cannot be understood, or an image is there twice.
    """
    folder = _read(data, data.images, data.masks)
    test: tuple[ImagePair, ...] = ()
    if data.test_images is not None and data.test_masks is not None:
        held = _read(data, data.test_images, data.test_masks, several=len(folder.classes) > 1)
        if len(held.classes) > len(folder.classes):
            raise DataError(
                f"The test masks hold {len(held.classes)} classes, the training masks "
                f"{len(folder.classes)}. Annotate the same classes in both."
            )
        test = held.pairs
    refuse_twins((*folder.pairs, *test))
    return ExperimentImages(folder.pairs, test, folder.classes)


def _read(data: ExperimentData, images: object, masks: object, *, several: bool = False) -> AnnotatedFolder:
    return read_folder(
        str(images), str(masks), data.mask_colors or None, "full", data.class_names, several=several
    )


def make_folds(images: ExperimentImages, config: ExperimentConfig) -> tuple[Fold, ...]:
    """Divide the images, whole ones, so that folds are alike in how much of them is labelled.

    The images are sorted by their labelled share, and each run of `folds` neighbours is dealt out at
    random, one to each fold (stratified cross-validation).

    Parameters
    ----------
    images : ExperimentImages
        All of them.
    config : ExperimentConfig
        Number of folds, and the seed of the draw.

    Raises
    ------
    DataError
        There are fewer images than folds.
    """
    if images.test:
        return (Fold(0, images.pairs, images.test),)
    pairs = images.pairs
    if len(pairs) < config.folds:
        hint = f"say --folds {len(pairs)} or fewer" if len(pairs) > 1 else "annotate more, or give a test set"
        raise DataError(f"{len(pairs)} image(s) cannot make {config.folds} folds: {hint}.")
    order = sorted(range(len(pairs)), key=lambda i: (_labelled_share(pairs[i]), pairs[i].name))
    rng = np.random.default_rng(config.split_seed)
    fold_of: dict[int, int] = {}
    for start in range(0, len(order), config.folds):
        block = order[start : start + config.folds]
        fold_of |= dict(zip(block, rng.permutation(config.folds)[: len(block)].tolist(), strict=True))
    return tuple(
        Fold(
            number,
            tuple(p for i, p in enumerate(pairs) if fold_of[i] != number),
            tuple(p for i, p in enumerate(pairs) if fold_of[i] == number),
        )
        for number in range(config.folds)
    )


def some_of(pairs: Sequence[ImagePair], count: int | None, seed: int, fold: int) -> tuple[ImagePair, ...]:
    """Choose some training images at random; a smaller choice is part of a larger one.

    Parameters
    ----------
    pairs : sequence of ImagePair
        Those of a fold.
    count : int, optional
        How many; None = all, in their order.
    seed, fold : int
        Decide which.
    """
    if count is None or count >= len(pairs):
        return tuple(pairs)
    order = np.random.default_rng((seed, fold)).permutation(len(pairs)).tolist()
    # The first one must teach something alone.
    first = next((i for i in order if pairs[i].labelled), order[0])
    return tuple(pairs[i] for i in [first, *(i for i in order if i != first)][:count])


def _labelled_share(pair: ImagePair) -> float:
    annotated = pair.mask != IGNORE
    return float(((pair.mask > 0) & annotated).sum() / max(1, annotated.sum()))
