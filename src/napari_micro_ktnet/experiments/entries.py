"""The rows of every table, as data: to add one, add a line to a table here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.experiments.config import ExperimentConfig, TableName
from napari_micro_ktnet.model.encoders import canonical_encoder
from napari_micro_ktnet.training.config import TrainingConfig

ARCHITECTURES = {
    "fpn": "FPN",
    "pspnet": "PSPNet",
    "unet": "U-Net",
    "linknet": "LinkNet",
    "manet": "MA-Net",
    "unetplusplus": "U-Net++",
    "deeplabv3": "DeepLabV3",
    "deeplabv3plus": "DeepLabV3+",
    "micro-ktnet": "Micro-KTNet",
}
ENCODERS = {
    "densenet121": "DenseNet-121",
    "dpn107": "DPN-107",
    "efficientnet-b5": "EfficientNet-B5",
    "inceptionresnetv2": "Inception-ResNet-V2",
    "inceptionv4": "Inception-V4",
    "mobilenet_v2": "MobileNet-V2",
    "resnet50": "ResNet-50",
    "resnext50_32x4d": "ResNeXt-50 32x4d",
    "se_resnext50_32x4d": "SE-ResNeXt-50 32x4d",
    "senet154": "SENet-154",
    "vgg16_bn": "VGG-16-BN",
    "xception": "Xception",
}
STARTS = {
    "random": "random",
    "imagenet": "ImageNet",
    "micronet": "MicroNet",
    "imagenet-micronet": "ImageNet→MicroNet",
}
ATTENTION = {True: "scSE", False: "no scSE"}
UPSAMPLING = {"transpose": "transposed", "nearest": "nearest"}
# Those of the paper, and smaller ones.
BATCH_SIZES = (2, 4, 8, 14, 20, 26, 32)
TRAINING_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    Attributes
    ----------
    name : str
        Unique in its table; part of file names.
    label : str
        As in papers.
    changes : dict
        Fields of `TrainingConfig` that differ from the experiment's.
    images : int, optional
        Training images in each fold; None = all.
    value : int, optional
        Where it lies on the curve of a sweep.
    reference : bool
        Whether the others are tested against it.
    """

    name: str
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    images: int | None = None
    value: int | None = None
    reference: bool = False

    def training(self, config: ExperimentConfig, seed: int) -> TrainingConfig:
        """Give the settings of this entry."""
        return TrainingConfig.model_validate(config.training.model_dump() | self.changes | {"seed": seed})


def make_entries(config: ExperimentConfig, available: int) -> tuple[Entry, ...]:
    """Give the rows of a table, in its order; exactly one is the reference.

    Parameters
    ----------
    config : ExperimentConfig
        Which table, and the Micro-KTNet that is the reference.
    available : int
        Training images that every fold has.

    Raises
    ------
    InputError
        A value of a sweep is out of range.
    """
    return _TABLES[config.table](config, available)


def start_name(init: str) -> str:
    """Short name of a start, for names of entries."""
    return init if init in (*STARTS, "starter") else "file"


def _architectures(config: ExperimentConfig, _: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(name, label, {"architecture": name}, reference=name == "micro-ktnet")
        for name, label in ARCHITECTURES.items()
    )


def _ablation(config: ExperimentConfig, _: int) -> tuple[Entry, ...]:
    base = config.training
    return tuple(
        Entry(
            f"{'scse' if scse else 'plain'}-{upsampling}-{start_name(init)}",
            f"{ATTENTION[scse]}, {UPSAMPLING[upsampling]}, {start}",
            {"architecture": "micro-ktnet", "scse": scse, "upsampling": upsampling, "init": init},
            reference=scse and upsampling == "transpose" and init == base.init,
        )
        for (init, start), scse, upsampling in product(_starts(base), ATTENTION, UPSAMPLING)
    )


def _encoders(config: ExperimentConfig, _: int) -> tuple[Entry, ...]:
    base = config.training
    own = canonical_encoder(base.encoder)
    named = {**({} if own in ENCODERS else {own: own.removeprefix("timm-tf_")}), **ENCODERS}
    return tuple(
        Entry(
            f"{encoder.removeprefix('timm-tf_')}-{start_name(init)}",
            f"{label}, {start}",
            {"architecture": "micro-ktnet", "encoder": encoder, "init": init},
            reference=encoder == own and init == base.init,
        )
        for encoder, label in named.items()
        for init, start in _starts(base)
        # A file holds the weights of one encoder.
        if init in STARTS or encoder == own
    )


def _starts(base: TrainingConfig) -> tuple[tuple[str, str], ...]:
    """Every published start, and that of the experiment where it is another one."""
    own = () if base.init in STARTS else ((base.init, start_name(base.init)),)
    return (*STARTS.items(), *own)


def _batch_sizes(config: ExperimentConfig, _: int) -> tuple[Entry, ...]:
    base = config.training
    sizes = sorted({*(config.values or BATCH_SIZES), base.batch_size})
    # As many crops, which is what epochs are, for every size: else the larger one would see more.
    steps = {size: max(1, round(base.steps * base.batch_size / size)) for size in sizes}
    every = {size: max(1, round(base.validate_every * base.batch_size / size)) for size in sizes}
    return tuple(
        Entry(
            f"batch-{size}",
            f"batch of {size}",
            {"batch_size": size, "steps": steps[size], "validate_every": every[size]},
            value=size,
            reference=size == base.batch_size,
        )
        for size in sizes
    )


def _training_sizes(config: ExperimentConfig, available: int) -> tuple[Entry, ...]:
    if config.values and max(config.values) > available:
        raise InputError(
            f"There are {available} training images in each fold, but {max(config.values)} were asked for. "
            "Ask for fewer, or give more images."
        )
    fitting = [n for n in config.values or TRAINING_SIZES if n < available]
    return tuple(
        Entry(f"images-{n}", f"{n} image{'s' if n > 1 else ''}", images=n, value=n, reference=n == available)
        for n in sorted({*fitting, available})
    )


_TABLES: dict[TableName, Callable[[ExperimentConfig, int], tuple[Entry, ...]]] = {
    "architectures": _architectures,
    "ablation": _ablation,
    "encoders": _encoders,
    "batch-size": _batch_sizes,
    "training-size": _training_sizes,
}
