from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

from helpers import blobs, small_model_file
from napari_micro_ktnet import segment
from napari_micro_ktnet.errors import DataError, InputError, ModelError, TrainingError
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.training import loop
from napari_micro_ktnet.training.augment import take_crop, vary
from napari_micro_ktnet.training.config import STRONG, AugmentConfig, preset, without_folders
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.loop import iter_train, train
from napari_micro_ktnet.training.losses import IGNORE, loss_from_sums, loss_sums, segmentation_loss
from napari_micro_ktnet.training.reports import EndReport, StepReport, ValidationReport
from napari_micro_ktnet.training.run import Run

STILL = AugmentConfig(horizontal_flip=0, brightness=0, contrast=0, gamma=0, blur=0, sharpen=0)
SMALL = {
    "encoder": "resnet18",
    "init": "random",
    "crop": 64,
    "batch_size": 4,
    "device": "cpu",
    "precision": "float32",
}


def pairs(count: int) -> list[ImagePair]:
    return [ImagePair(f"image-{i}", *blobs(seed=i)) for i in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_binary_loss_equals_independent_parts(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 1, 9, 11, generator=generator)
    target = torch.randint(0, 2, (3, 9, 11), generator=generator)
    dice = smp.losses.DiceLoss(mode="binary", smooth=0.0)(logits, target[:, None])
    entropy = F.binary_cross_entropy(logits.sigmoid(), target[:, None].float())
    torch.testing.assert_close(
        segmentation_loss(logits, target), 0.7 * entropy + 0.3 * dice, rtol=1e-5, atol=1e-6
    )


def test_multiclass_loss_equals_independent_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    target = torch.randint(0, 3, (2, 8, 8), generator=generator)
    dice = smp.losses.DiceLoss(mode="multiclass", classes=[1, 2], smooth=0.0)(logits, target)
    entropy = F.cross_entropy(logits, target)
    torch.testing.assert_close(
        segmentation_loss(logits, target), 0.7 * entropy + 0.3 * dice, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_without_annotation_do_not_count(channels: int) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, channels, 6, 10), torch.randint(0, min(channels, 2) + 1, (1, 6, 10))
    masked = target.clone()
    masked[..., 5:] = IGNORE
    torch.testing.assert_close(
        segmentation_loss(logits, masked),
        segmentation_loss(logits[..., :5], target[..., :5]),
        rtol=1e-5,
        atol=1e-6,
    )
    nothing = segmentation_loss(logits.requires_grad_(), torch.full_like(target, IGNORE))
    nothing.backward()
    assert nothing == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_sums_of_parts_make_the_loss_of_the_whole(channels: int) -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(4, channels, 6, 7), torch.randint(0, min(channels, 2) + 1, (4, 6, 7))
    target[1, :3] = IGNORE
    parts = loss_sums(logits[:1], target[:1]) + loss_sums(logits[1:], target[1:])
    torch.testing.assert_close(loss_from_sums(parts), segmentation_loss(logits, target))


def test_crop_shows_the_same_place_in_image_and_mask() -> None:
    ramp = np.arange(100 * 80, dtype=np.float32).reshape(100, 80)
    mask = (ramp.astype(int) % 7).astype(np.uint8)
    x, t = take_crop(ramp, mask, (50, 40), 32, 1.0)
    assert x.shape == t.shape == (32, 32)
    assert np.array_equal(x.numpy(), ramp[34:66, 24:56])
    assert np.array_equal(t.numpy(), mask[34:66, 24:56])


def test_crop_at_the_corner_and_of_a_small_image() -> None:
    x, t = take_crop(np.ones((20, 90), np.float32), np.zeros((20, 90), np.uint8), (0, 89), 32, 1.0)
    assert x.shape == (32, 32)
    assert (x == 1).all()
    assert (t[:20] == 0).all()
    assert (t[20:] == IGNORE).all()


def test_zoom_enlarges() -> None:
    grey, mask = blobs((128, 128))
    _, t = take_crop(grey.astype(np.float32), mask, (64, 64), 64, 2.0)
    assert np.array_equal(t.numpy()[::2, ::2], mask[48:80, 48:80])


def test_variation_moves_image_and_mask_together() -> None:
    mask = torch.from_numpy(blobs((64, 64))[1])
    config = STILL.model_copy(update={"horizontal_flip": 0.5, "vertical_flip": 0.5, "transpose": 0.5})
    for seed in range(8):
        image, turned = vary(mask.float(), mask, np.random.default_rng(seed), config)
        assert torch.equal(image, turned.float())


def test_strong_variation_is_bounded_and_finite() -> None:
    image = torch.linspace(-0.5, 2, 64 * 64).reshape(64, 64)
    for seed in range(30):
        varied, _ = vary(image, torch.zeros(64, 64, dtype=torch.uint8), np.random.default_rng(seed), STRONG)
        assert torch.isfinite(varied).all()
        assert varied.abs().max() < 8


def test_batches_depend_on_seed_and_step_alone() -> None:
    config = preset("quick", **SMALL)
    first = CropSampler(pairs(3), Normalization(), config)
    first.batch(1)
    again = CropSampler(pairs(3), Normalization(), config)
    for a, b in zip(first.batch(7), again.batch(7), strict=True):
        assert torch.equal(a, b)
    other = CropSampler(pairs(3), Normalization(), config.model_copy(update={"seed": 1}))
    assert not torch.equal(first.batch(7)[0], other.batch(7)[0])
    assert not torch.equal(first.batch(7)[0], first.batch(8)[0])


def test_weights_decide_how_often_an_image_is_drawn() -> None:
    bright = ImagePair("rare", np.full((64, 64), 9, np.uint8), np.full((64, 64), 1, np.uint8), weight=1.0)
    dark = ImagePair("often", np.full((64, 64), 9, np.uint8), np.zeros((64, 64), np.uint8), weight=3.0)
    sampler = CropSampler([bright, dark], Normalization(), preset("quick", **SMALL | {"batch_size": 400}))
    masks = sampler.batch(1)[1]
    share = (masks == 1).sum() / (masks != IGNORE).sum()
    assert share == pytest.approx(0.25, abs=0.06)


def test_variation_of_one_image_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    plain = ImagePair("plain", pixels, np.ones((64, 64), np.uint8), augment=STILL)
    varied = ImagePair("varied", pixels, np.zeros((64, 64), np.uint8))
    sampler = CropSampler([plain, varied], Normalization(), preset("quick", crop=64, batch_size=40))
    images, masks = sampler.batch(1)
    as_it_is = torch.from_numpy(plain.stretched(Normalization()).astype(np.float32))
    same = [torch.equal(image, as_it_is) for image in images]
    assert same == [bool((mask == 1).all()) for mask in masks]
    assert 10 < sum(same) < 30


def test_paper_preset() -> None:
    paper = preset("paper")
    assert (paper.optimizer, paper.lr_encoder, paper.lr_decoder) == ("adam", 2e-4, 2e-4)
    assert (paper.batch_size, paper.bce, paper.dice) == (14, 0.7, 0.3)
    assert paper.augment.horizontal_flip == 0.3
    assert paper.schedule == "constant"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("fast", {}, "Unknown preset"),
        ("quick", {"steps": 0}, "steps cannot be 0"),
        ("quick", {"crop": 8}, "crop cannot be 8"),
        ("quick", {"momentum": 1}, "momentum"),
    ],
)
def test_bad_settings(name: str, values: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        preset(name, **values)


def test_training_learns_and_leaves_a_usable_model(tmp_path: Path) -> None:
    config = preset("quick", **SMALL, steps=40, validate_every=20)
    reports = list(iter_train(pairs(4), [ImagePair("held", *blobs(seed=99))], tmp_path, config))
    steps = [r for r in reports if isinstance(r, StepReport)]
    validations = [r for r in reports if isinstance(r, ValidationReport)]
    assert [r.step for r in steps] == list(range(1, 41))
    assert [r.step for r in validations] == [20, 40]
    assert validations[1].training_loss == pytest.approx(np.mean([r.loss for r in steps[20:]]))
    assert validations[1].loss < validations[0].loss
    assert reports[-1] == EndReport(40, 40, "finished", tmp_path / "model.safetensors")
    assert np.mean([r.loss for r in steps[-5:]]) < 0.5 * np.mean([r.loss for r in steps[:5]])
    best = max(v.pooled[0].iou for v in validations)
    assert best > 0.85
    model = load_model(tmp_path / "model.safetensors")
    grey, mask = blobs(seed=99)
    labels = segment(grey, model, device="cpu", precision="float32").labels()
    iou = scores_from_confusion(confusion_matrix(labels, mask, 2))[0].iou
    assert iou == pytest.approx(best, abs=1e-9)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    config = preset("quick", **SMALL, steps=3, validate_every=3)
    held = [ImagePair("held", *blobs(seed=99))]
    states = [
        load_model(train(pairs(3), held, tmp_path / name, config)).network.state_dict() for name in ("a", "b")
    ]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_closing_early_keeps_the_best_so_far(tmp_path: Path) -> None:
    config = preset("quick", **SMALL, steps=50, validate_every=2)
    run = iter_train(pairs(2), [ImagePair("held", *blobs(seed=99))], tmp_path, config)
    for report in run:
        if isinstance(report, ValidationReport):
            break
    run.close()
    assert load_model(tmp_path / "model.safetensors").spec.encoder == "resnet18"
    assert Run(tmp_path).summary().status == "stopped"
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_start_from_a_model_of_other_classes_keeps_all_but_the_head(tmp_path: Path) -> None:
    path = small_model_file(tmp_path / "m.safetensors", orientations=4)
    three = [{"name": n, "color": "#ff0000"} for n in "abc"]
    config = preset("quick", **SMALL | {"init": str(path)}, classes=three, steps=1)
    network, spec = loop.start_network(config, pairs(1))
    old, new = load_model(path).network.state_dict(), network.state_dict()
    assert (spec.channels, spec.orientations) == (4, 4)
    assert new["head.weight"].shape[0] == 4
    assert all(torch.equal(new[k], old[k]) for k in new if not k.startswith("head."))


def test_a_model_file_does_not_tell_where_its_start_lay(tmp_path: Path) -> None:
    start = small_model_file(tmp_path / "m.safetensors")
    config = preset("quick", **SMALL | {"init": str(start)}, steps=1)
    list(iter_train(pairs(1), pairs(1), tmp_path / "run", config))
    file = tmp_path / "run" / "model.safetensors"
    assert str(tmp_path).encode() not in file.read_bytes()
    assert load_model(file).spec.origin == "trained from m.safetensors"


@pytest.mark.parametrize(
    ("init", "kept"),
    [
        ("starter", "starter"),
        ("/home/me/m.pth", "m.pth"),
        ("/runs/a/model.safetensors", "a/model.safetensors"),
    ],
)
def test_without_folders(init: str, kept: str) -> None:
    assert without_folders(init) == kept


def test_start_that_does_not_fit(tmp_path: Path) -> None:
    path = small_model_file(tmp_path / "m.safetensors")
    config = preset("quick", **SMALL | {"init": str(path), "encoder": "resnet34"})
    with pytest.raises(ModelError, match="differs in encoder"):
        loop.start_network(config, pairs(1))
    with pytest.raises(ModelError, match="nonsense"):
        loop.start_network(preset("quick", **SMALL | {"init": "nonsense"}), pairs(1))


def test_loss_that_is_no_number_stops_with_a_reason(tmp_path: Path) -> None:
    config = preset("quick", **SMALL, steps=5, lr_decoder=1e30, ema=0.0)
    with pytest.raises(TrainingError, match="at step"):
        train(pairs(2), [ImagePair("held", *blobs(seed=99))], tmp_path, config)


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        ([], pairs(1), "no training image"),
        ([ImagePair("empty", blobs()[0], np.zeros((96, 128), np.uint8))], pairs(1), "nothing to learn"),
        (pairs(1), [], "no validation image"),
    ],
)
def test_bad_data(
    tmp_path: Path, training: list[ImagePair], validation: list[ImagePair], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train(training, validation, tmp_path, preset("quick", **SMALL))


def test_shapes_that_differ() -> None:
    with pytest.raises(DataError, match=r"\(3, 4\).*\(3, 5\)"):
        ImagePair("x", np.zeros((3, 4)), np.zeros((3, 5), np.uint8))
