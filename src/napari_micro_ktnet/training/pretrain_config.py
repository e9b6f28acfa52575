"""Settings of the source task, and the record of the encoder that comes out of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_micro_ktnet.model.encoders import LITE0
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.training.config import STRONG, AugmentConfig

Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PretrainConfig(_Frozen):
    """Everything that decides how an encoder learns to tell classes of micrographs apart.

    Attributes
    ----------
    encoder : str
        Encoder name of segmentation-models-pytorch.
    init : str
        ``"random"``, ``"imagenet"``, or the path of encoder weights.
    steps : int
        Optimiser steps.
    batch_size, crop : int
        Crops per step, each class as often as the others, and their side in pixels.
    lr, weight_decay : float
        Of AdamW; the rate rises over the first 5 % of the steps and falls to zero along a cosine.
    validation_share : float
        Share of the images of each class to hold back, at least one of each.
    augment : AugmentConfig
        Variation of the crops.
    validate_every : int
        Steps between validations.
    seed : int
        Decides every random draw.
    device, precision
        See `napari_micro_ktnet.predict.runner.PredictOptions`.
    """

    schema_version: Literal[1] = 1
    encoder: str = LITE0
    init: str = "imagenet"
    steps: Annotated[int, Field(ge=1)] = 500
    # With one crop as small as the stride, batch normalisation would have one value to work on.
    batch_size: Annotated[int, Field(ge=2)] = 32
    crop: Annotated[int, Field(ge=32)] = 224
    lr: Annotated[float, Field(gt=0)] = 5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    augment: AugmentConfig = STRONG
    validate_every: Annotated[int, Field(ge=1)] = 50
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class ClassRecord(_Frozen):
    """One class of micrographs.

    Attributes
    ----------
    name : str
        Name of its folder.
    training, validation : int
        Images learnt from, and held back.
    correct : int
        How many of those held back were recognised.
    """

    name: str
    training: Count
    validation: Count
    correct: Count


class EncoderRecord(_Frozen):
    """What a file of pre-trained encoder weights says about itself, in its metadata.

    Attributes
    ----------
    encoder : str
        Its name.
    normalization : Normalization
        How grey values became network input.
    classes : tuple of ClassRecord
        What it learnt to tell apart.
    step : int
        Steps that had been done.
    top1, balanced_accuracy, validation_loss : float
        Over the images held back; see `napari_micro_ktnet.training.pretrain.ClassValidation`.
    config : PretrainConfig
        All settings, the seed among them.
    when : str
        ISO 8601, UTC.
    versions : mapping of str to str
        Of the packages that decide the result.
    """

    schema_version: Literal[1] = 1
    encoder: str
    normalization: Normalization
    classes: tuple[ClassRecord, ...]
    step: Count
    top1: float
    balanced_accuracy: float
    validation_loss: float
    config: PretrainConfig
    when: str
    versions: dict[str, str]
