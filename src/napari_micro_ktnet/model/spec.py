"""What a model is, apart from its weights: everything needed to rebuild and to judge it.

Nothing here imports torch, so that a list of models can be shown without loading it.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Architecture = Literal[
    "micro-ktnet",
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
Orientations = Literal[1, 2, 4, 8]
ORIENTATION_COUNTS: tuple[Orientations, ...] = get_args(Orientations)
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelClass(_Frozen):
    """A class that the network tells from the matrix; its label value is its position + 1.

    Attributes
    ----------
    name : str
        Name as shown to the user, e.g. ``"agglomerate"``.
    color : str
        ``#rrggbb``.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class Normalization(_Frozen):
    """How grey values become network input: stretch to 0..1, then ``(x - mean) / std``.

    Attributes
    ----------
    percentiles : tuple of float
        Grey values at these percentiles of the analysed region are mapped to 0 and 1. Values
        beyond are kept up to ``clip``, so a few bright agglomerates in a dilute field survive.
        The stretch makes the result independent of bit depth and of the operator's brightness
        and contrast setting.
    clip : tuple of float
        Lowest and highest stretched value.
    mean, std : tuple of float
        Per channel, on the 0..1 scale; the grey image is repeated to three channels.
    """

    percentiles: tuple[float, float] = (0.5, 99.8)
    clip: tuple[float, float] = (-0.5, 2.0)
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    @model_validator(mode="after")
    def _ordered(self) -> Normalization:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must satisfy 0 <= low < high <= 100, found {self.percentiles}")
        if not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip must be (low, high) with low < high, found {self.clip}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {self.std}")
        return self


AGGLOMERATE = LabelClass(name="agglomerate", color="#ffd400")


class ModelSpec(_Frozen):
    """Everything about a model but its weights.

    Attributes
    ----------
    architecture : str
        ``"micro-ktnet"`` or one of the comparison networks of segmentation-models-pytorch.
    encoder : str
        Encoder name of segmentation-models-pytorch.
    upsampling : {"transpose", "nearest"}
        Decoder upsampling of Micro-KTNet; other architectures have their own.
    scse : bool
        scSE attention in the decoder of Micro-KTNet; other architectures ignore it.
    classes : tuple of LabelClass
        The classes besides matrix. One class is a single sigmoid channel; more are a softmax
        over ``len(classes) + 1`` channels of which the first is matrix.
    normalization : Normalization
        How grey values become network input.
    pixel_size_nm : tuple of float or None
        Pixel size ``(y, x)`` in nm of the training images; None where it is unknown or mixed.
    orientations : int
        How many mirrored and turned copies of an image a prediction is the mean of, unless another number
        is asked for: 1, 2 (upside down), 4 (the mirror images too) or 8 (all of them transposed too).
    origin, licence : str
        Where the weights come from and under which terms.
    """

    schema_version: Literal[1] = 1
    architecture: Architecture = "micro-ktnet"
    encoder: str = "timm-tf_efficientnet_lite0"
    upsampling: Literal["transpose", "nearest"] = "transpose"
    scse: bool = True
    classes: Annotated[tuple[LabelClass, ...], Field(min_length=1, max_length=254)] = (AGGLOMERATE,)
    normalization: Normalization = Normalization()
    pixel_size_nm: tuple[float, float] | None = None
    orientations: Orientations = 1
    origin: str = ""
    licence: str = ""

    @field_validator("classes")
    @classmethod
    def _distinct_names(cls, classes: tuple[LabelClass, ...]) -> tuple[LabelClass, ...]:
        names = [c.name for c in classes]
        if len(set(names)) != len(names):
            raise ValueError(f"class names must differ, found {names}")
        return classes

    @field_validator("pixel_size_nm")
    @classmethod
    def _positive(cls, size: tuple[float, float] | None) -> tuple[float, float] | None:
        if size is not None and not (min(size) > 0 and max(size) < float("inf")):
            raise ValueError(f"pixel size must be positive and finite, found {size}")
        return size

    @property
    def channels(self) -> int:
        """Number of logit channels of the network."""
        return 1 if len(self.classes) == 1 else len(self.classes) + 1
