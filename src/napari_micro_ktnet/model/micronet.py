"""The encoders that NASA pre-trained on MicroNet, as published.

Stuckner, Harder & Smith, npj Comput. Mater. 8, 200 (2022), doi 10.1038/s41524-022-00878-5;
https://github.com/nasa/pretrained-microscopy-models. Nothing here touches the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from napari_micro_ktnet.errors import WeightsError
from napari_micro_ktnet.model.encoders import closest_names

MicroNetVariant = Literal["micronet", "imagenet-micronet"]
VARIANTS: tuple[MicroNetVariant, ...] = get_args(MicroNetVariant)

MICRONET_BASE_URL = "https://nasa-public-data.s3.amazonaws.com/microscopy_segmentation_models/"

_FILE_PART: dict[MicroNetVariant, str] = {
    "micronet": "microscopynet",
    "imagenet-micronet": "imagenet-microscopynet",
}
_BOTH_VARIANTS = (
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *("dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131"),
    *("efficientnet-b0", "efficientnet-b1", "efficientnet-b2"),
    *("efficientnet-b3", "efficientnet-b4", "efficientnet-b5"),
    *("inceptionresnetv2", "inceptionv4", "mobilenet_v2"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d"),
    *("se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d"),
    *("senet154", "vgg11_bn", "vgg13_bn", "vgg16_bn", "xception"),
)
_IMAGENET_MICRONET_ONLY = ("efficientnet-b6", "efficientnet-b7")

# Only this one was trained a second time.
_VERSIONS: dict[tuple[str, MicroNetVariant], str] = {("resnet50", "micronet"): "1.1"}

# Published under a name that is not the encoder's.
_FILE_STEMS: dict[tuple[str, MicroNetVariant], str] = {("resnext101_32x8d", "micronet"): "resnext101"}

_NOTES: dict[tuple[str, MicroNetVariant], str] = {
    ("resnext101_32x8d", "imagenet-micronet"): (
        "The publisher's own code fetches the 'micronet' file under this name too, so the file may not exist."
    ),
}


@dataclass(frozen=True)
class MicroNetEntry:
    """One published file of encoder weights.

    Attributes
    ----------
    encoder : str
        Name of the encoder in segmentation-models-pytorch; NASA uses the same names.
    variant : {"micronet", "imagenet-micronet"}
        Trained on MicroNet from random weights, or from ImageNet weights (the paper's best).
    version : str
        NASA's version of the file.
    file_name : str
        Its name under the base URL and in the cache.
    licence, origin : str
        Terms, and where it comes from.
    mean, std : tuple of float
        Normalisation of the training images, per channel on the 0..1 scale; grey images are
        repeated to three channels.
    note : str
        What is odd about the file; empty for most.
    """

    encoder: str
    variant: MicroNetVariant
    version: str
    file_name: str
    licence: str = "MIT"
    origin: str = "NASA pretrained-microscopy-models (MicroNet), doi 10.1038/s41524-022-00878-5"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    note: str = ""

    @property
    def url(self) -> str:
        """Where NASA publishes the file."""
        return MICRONET_BASE_URL + self.file_name


@cache
def list_micronet() -> tuple[MicroNetEntry, ...]:
    """List every published encoder, sorted by encoder and variant.

    Returns
    -------
    tuple of MicroNetEntry
    """
    names: dict[MicroNetVariant, tuple[str, ...]] = {
        "micronet": _BOTH_VARIANTS,
        "imagenet-micronet": (*_BOTH_VARIANTS, *_IMAGENET_MICRONET_ONLY),
    }
    entries = [_entry(encoder, variant) for variant in VARIANTS for encoder in names[variant]]
    return tuple(sorted(entries, key=lambda e: (e.encoder, VARIANTS.index(e.variant))))


def _entry(encoder: str, variant: MicroNetVariant) -> MicroNetEntry:
    key = (encoder, variant)
    version = _VERSIONS.get(key, "1.0")
    stem = _FILE_STEMS.get(key, encoder)
    return MicroNetEntry(
        encoder=encoder,
        variant=variant,
        version=version,
        file_name=f"{stem}_pretrained_{_FILE_PART[variant]}_v{version}.pth.tar",
        note=_NOTES.get(key, ""),
    )


def find_micronet(encoder: str, variant: str) -> MicroNetEntry:
    """Find the published file of an encoder.

    Parameters
    ----------
    encoder : str
        Name of segmentation-models-pytorch; upper and lower case are the same, ``-`` and ``_`` too.
    variant : str
        ``"micronet"`` or ``"imagenet-micronet"``.

    Returns
    -------
    MicroNetEntry

    Raises
    ------
    WeightsError
        There is no such file; the message lists what there is.
    """
    if variant not in VARIANTS:
        raise WeightsError(
            f"There is no variant {variant!r} of the MicroNet weights, "
            f"expected {' or '.join(map(repr, VARIANTS))}."
        )
    entries = {_loose(e.encoder): e for e in list_micronet() if e.variant == variant}
    if _loose(encoder) in entries:
        return entries[_loose(encoder)]
    other = [e.variant for e in list_micronet() if _loose(e.encoder) == _loose(encoder)]
    if other:
        hint = f"It is published as {other[0]!r} only."
    else:
        close = [entries[match].encoder for match in closest_names(_loose(encoder), entries)]
        hint = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
        hint += f"Published are: {', '.join(e.encoder for e in entries.values())}."
    raise WeightsError(f"There are no {variant!r} weights of the encoder {encoder!r}. {hint}")


def _loose(name: str) -> str:
    return name.strip().lower().replace("-", "_")
