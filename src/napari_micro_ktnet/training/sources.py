"""From the folders of a configuration to the images of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.training.config import DataConfig
from napari_micro_ktnet.training.folders import AnnotatedFolder, read_folder
from napari_micro_ktnet.training.split import Split, refuse_twins, split_pairs, split_warnings


@dataclass(frozen=True)
class TrainingData:
    """What a run needs of its data.

    Attributes
    ----------
    split : Split
        Images to train and to validate on.
    classes : tuple of LabelClass
        Classes besides matrix.
    """

    split: Split
    classes: tuple[LabelClass, ...]


def load_data(config: DataConfig, seed: int = 0) -> TrainingData:
    """Read the images of a run and divide them.

    Parameters
    ----------
    config : DataConfig
        Where they lie.
    seed : int
        Decides which are held back, where validation has no folders of its own.

    Raises
    ------
    DataError
        Files do not pair, differ in size, or masks cannot be understood; an image is there twice.
    """
    if (config.val_images is None) != (config.val_masks is None):
        raise DataError("Give both validation images and validation masks, or neither.")
    folder = _read(config, config.images, config.masks)
    if config.val_images is None or config.val_masks is None:
        refuse_twins(folder.pairs)
        return TrainingData(split_pairs(folder.pairs, config.validation_share, seed), folder.classes)
    held = _read(config, config.val_images, config.val_masks, several=len(folder.classes) > 1)
    if len(held.classes) > len(folder.classes):
        raise DataError(
            f"The validation masks hold {len(held.classes)} classes, the training masks "
            f"{len(folder.classes)}. Annotate the same classes in both."
        )
    refuse_twins((*folder.pairs, *held.pairs))
    warnings = split_warnings(folder.pairs, held.pairs)
    return TrainingData(Split(folder.pairs, held.pairs, warnings), folder.classes)


def _read(config: DataConfig, images: Path, masks: Path, *, several: bool = False) -> AnnotatedFolder:
    colors = config.mask_colors or None
    return read_folder(images, masks, colors, config.annotation, config.class_names, several=several)
