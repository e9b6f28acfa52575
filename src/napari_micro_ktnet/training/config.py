"""Settings of a training run, as they are written to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.spec import AGGLOMERATE, Architecture, LabelClass

Share = Annotated[float, Field(ge=0, le=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Annotation = Literal["full", "scribbles"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AugmentConfig(_Frozen):
    """How much training crops are varied. All draws come from the run's seed and the step.

    Attributes
    ----------
    zoom : tuple of float
        Smallest and largest magnification of a crop.
    horizontal_flip, vertical_flip, transpose : float
        Probabilities.
    brightness, contrast : float
        Largest shift, as a share of the stretched range, and largest relative change.
    gamma : float
        Gamma is drawn log-uniformly from ``1 / (1 + gamma)`` to ``1 + gamma``.
    blur : float
        Probability of a Gaussian blur of up to `blur_sigma` pixels.
    blur_sigma : float
        In pixels.
    sharpen : float
        Probability of unsharp masking.
    noise : float
        Largest standard deviation of added noise, as a share of the stretched range.
    shading : float
        Largest amplitude of a slow brightness drift over the crop.
    """

    zoom: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    horizontal_flip: Share = 0.3
    vertical_flip: Share = 0.0
    transpose: Share = 0.0
    brightness: Share = 0.15
    contrast: Share = 0.25
    gamma: Annotated[float, Field(ge=0, le=3)] = 0.25
    blur: Share = 0.2
    blur_sigma: Annotated[float, Field(gt=0, le=10)] = 1.2
    sharpen: Share = 0.2
    noise: Share = 0.0
    shading: Share = 0.0


STRONG = AugmentConfig(
    zoom=(0.6, 1.7),
    horizontal_flip=0.5,
    vertical_flip=0.5,
    transpose=0.5,
    brightness=0.25,
    contrast=0.4,
    gamma=0.5,
    noise=0.08,
    shading=0.15,
)


class TrainingConfig(_Frozen):
    """Everything that decides how a model is trained, apart from the images.

    Attributes
    ----------
    architecture, encoder, upsampling, scse, classes
        See `napari_micro_ktnet.model.spec.ModelSpec`.
    init : str
        ``"imagenet"``, ``"micronet"``, ``"imagenet-micronet"``, ``"random"``, ``"starter"``, or
        the path of a model or of encoder weights.
    steps : int
        Optimiser steps.
    batch_size, crop : int
        Crops per step, and their side in pixels.
    optimizer : {"adam", "adamw"}
        AdamW decays weights by `weight_decay`.
    lr_encoder, lr_decoder : float
        Peak learning rates.
    schedule : {"constant", "cosine"}
        Cosine: 5 % linear warm-up, then down to zero.
    bce, dice : float
        Weights of the two losses.
    ema : float
        Decay of the moving average of the weights that is validated and saved; 0 = none.
    foreground : float
        Share of crops that are centred near a pixel of a class besides matrix; each class alike.
    freeze_encoder : bool
        Train the decoder only.
    freeze_batchnorm : bool
        Keep the statistics of batch normalisation as they are at the start; for very small batches.
    augment : AugmentConfig
        Variation of the crops.
    validate_every : int
        Steps between validations; each ends an epoch in the reports.
    patience : int
        Stop after so many validations without a better one; 0 = never.
    save_every : int
        Steps between saved states, the most that a killed run loses.
    seed : int
        Decides every random draw.
    device, precision
        See `napari_micro_ktnet.predict.runner.PredictOptions`.
    devices, nodes : int
        Devices of a machine, and machines, that share each batch.
    """

    schema_version: Literal[1] = 1
    architecture: Architecture = "micro-ktnet"
    encoder: str = "timm-tf_efficientnet_lite0"
    upsampling: Literal["transpose", "nearest"] = "transpose"
    scse: bool = True
    classes: tuple[LabelClass, ...] = (AGGLOMERATE,)
    init: str = "imagenet"
    steps: Annotated[int, Field(ge=1)] = 400
    batch_size: Annotated[int, Field(ge=1)] = 8
    crop: Annotated[int, Field(ge=32)] = 256
    optimizer: Literal["adam", "adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    lr_encoder: Annotated[float, Field(gt=0)] = 4e-4
    lr_decoder: Annotated[float, Field(gt=0)] = 1.5e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    bce: Annotated[float, Field(ge=0)] = 0.7
    dice: Annotated[float, Field(ge=0)] = 0.3
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.98
    foreground: Share = 0.5
    freeze_encoder: bool = False
    freeze_batchnorm: bool = False
    augment: AugmentConfig = STRONG
    validate_every: Annotated[int, Field(ge=1)] = 50
    patience: Annotated[int, Field(ge=0)] = 0
    save_every: Annotated[int, Field(ge=1)] = 50
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    nodes: Annotated[int, Field(ge=1)] = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class DataConfig(_Frozen):
    """Where a run's annotated images lie.

    Attributes
    ----------
    images, masks : Path
        Folders; files belong together when their stems are equal, ``_mask`` and ``_labels`` at the
        end ignored. Relative to the file that says so.
    val_images, val_masks : Path, optional
        The same for validation. Without them some of the images are held back.
    annotation : {"full", "scribbles"}
        Full: 0 is matrix. Scribbles: 0 is not annotated, 1 is matrix, the classes follow.
    mask_colors : mapping of str to (red, green, blue)
        Class names and their colours in RGB masks. Any other colour is matrix; with scribbles, the
        colour named ``matrix`` is, and any other is not annotated.
    class_names : tuple of str
        Names of the classes besides matrix, in the order of their numbers.
    validation_share : float
        Share of the images to hold back.
    """

    images: Path
    masks: Path
    val_images: Path | None = None
    val_masks: Path | None = None
    annotation: Annotation = "full"
    mask_colors: dict[str, tuple[Channel, Channel, Channel]] = {}
    class_names: tuple[str, ...] = ()
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2


_PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 800},
    "thorough": {"steps": 3000, "crop": 320, "validate_every": 150, "ema": 0.995},
    # What the paper states; crop and contrast ranges are not in it.
    "paper": {
        "steps": 3000,
        "batch_size": 14,
        "crop": 512,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "lr_encoder": 2e-4,
        "lr_decoder": 2e-4,
        "schedule": "constant",
        "ema": 0.0,
        "foreground": 0.0,
        "augment": AugmentConfig(),
        "validate_every": 100,
    },
}


def preset(name: str, **overrides: Any) -> TrainingConfig:
    """Make the settings of a preset, with some of them changed.

    Parameters
    ----------
    name : {"quick", "thorough", "paper"}
        Quick: 800 steps. Thorough: 3000 larger steps. Paper: Adam 2e-4, batch 14, its
        augmentations.
    **overrides
        Fields of `TrainingConfig`; None leaves the preset's value.

    Raises
    ------
    InputError
        The preset or a field is unknown, or a value is out of range.
    """
    if name not in _PRESETS:
        raise InputError(f"Unknown preset {name!r}. Choose one of {', '.join(_PRESETS)}.")
    values = _PRESETS[name] | {k: v for k, v in overrides.items() if v is not None}
    try:
        return TrainingConfig(**values)
    except ValidationError as error:
        raise InputError(wrong_setting(error)) from error


def without_folders(init: str) -> str:
    """Keep of a path what names the model; model files go to others, whom our folders do not concern."""
    path = Path(init)
    # The file of every run has this name.
    return "/".join(path.parts[-2:]) if path.name == "model.safetensors" else path.name


def wrong_setting(error: ValidationError) -> str:
    """Say in one sentence what is wrong with the first wrong setting."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"The training setting {name} is missing."
    if first["type"] == "extra_forbidden":
        return f"There is no training setting {name}. See `micro-ktnet train --help` for those there are."
    return f"The training setting {name} cannot be {first['input']!r}: {first['msg']}."
