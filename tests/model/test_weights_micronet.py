"""The table of published encoders."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_micro_ktnet.errors import WeightsError
from napari_micro_ktnet.model.micronet import find_micronet, list_micronet

V1 = "microscopynet_v1.0.pth.tar"
BASE = "https://nasa-public-data.s3.amazonaws.com/microscopy_segmentation_models/"


@pytest.mark.parametrize(
    ("encoder", "variant", "file_name"),
    [
        (
            "se_resnext50_32x4d",
            "imagenet-micronet",
            "se_resnext50_32x4d_pretrained_imagenet-microscopynet_v1.0.pth.tar",
        ),
        ("resnet50", "micronet", "resnet50_pretrained_microscopynet_v1.1.pth.tar"),
        ("resnet50", "imagenet-micronet", "resnet50_pretrained_imagenet-microscopynet_v1.0.pth.tar"),
        ("resnext101_32x8d", "micronet", "resnext101_pretrained_microscopynet_v1.0.pth.tar"),
        (
            "efficientnet-b7",
            "imagenet-micronet",
            "efficientnet-b7_pretrained_imagenet-microscopynet_v1.0.pth.tar",
        ),
        ("EfficientNet_B0", "micronet", "efficientnet-b0_pretrained_microscopynet_v1.0.pth.tar"),
    ],
)
def test_published_addresses(encoder: str, variant: str, file_name: str) -> None:
    entry = find_micronet(encoder, variant)
    assert entry.file_name == file_name
    assert entry.url == BASE + file_name
    assert entry.licence == "MIT"
    assert entry.mean == (0.485, 0.456, 0.406)
    assert entry.std == (0.229, 0.224, 0.225)


def test_every_published_encoder_is_listed_once() -> None:
    entries = list_micronet()
    assert len([e for e in entries if e.variant == "micronet"]) == 36
    assert len([e for e in entries if e.variant == "imagenet-micronet"]) == 38
    assert len({e.url for e in entries}) == len(entries)


def test_odd_file_carries_a_note() -> None:
    assert "may not exist" in find_micronet("resnext101_32x8d", "imagenet-micronet").note


@pytest.mark.parametrize(
    ("encoder", "variant", "words"),
    [
        ("efficientnet-b7", "micronet", "published as 'imagenet-micronet' only"),
        ("resnext50", "micronet", "Did you mean 'resnext50_32x4d'"),
        ("se_resnext50_32x4d", "imagenet", "expected 'micronet' or 'imagenet-micronet'"),
        ("resnet51", "micronet", "Did you mean .*'resnet50'"),
        ("zzz", "micronet", r"Published are: densenet121, .*xception\."),
    ],
)
def test_unknown_names_list_what_there_is(encoder: str, variant: str, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        find_micronet(encoder, variant)


def test_listing_and_fetching_need_no_torch() -> None:
    code = "import sys, napari_micro_ktnet.model.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
