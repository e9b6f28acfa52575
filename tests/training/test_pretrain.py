from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file
from scipy import ndimage

from helpers import blobs
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.errors import DataError, ModelError, TrainingError
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.training import class_folders
from napari_micro_ktnet.training.class_folders import (
    ClassSampler,
    GreyImages,
    hold_back_of_each,
    plain_crops,
)
from napari_micro_ktnet.training.classifier import Classifier
from napari_micro_ktnet.training.config import AugmentConfig, preset
from napari_micro_ktnet.training.pretrain import ClassValidation, PretrainEnd, iter_pretrain, pretrain
from napari_micro_ktnet.training.pretrain_config import EncoderRecord, PretrainConfig
from napari_micro_ktnet.training.reports import Notice
from napari_micro_ktnet.training.schedule import warm_cosine
from napari_micro_ktnet.training.start import encoder_of, start_network

SMALL = PretrainConfig(
    encoder="resnet18",
    init="random",
    steps=24,
    batch_size=9,
    crop=64,
    lr=1e-3,
    validation_share=0.34,
    validate_every=12,
    device="cpu",
    precision="float32",
)
SHORT = SMALL.model_copy(update={"steps": 3, "validate_every": 2, "batch_size": 4, "crop": 32})


def texture(kind: str, seed: int, side: int = 96) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (side, side))
    if kind == "stripes":
        y, x = np.indices((side, side))
        angle = rng.uniform(0, np.pi)
        pattern = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / rng.uniform(7, 10))
    elif kind == "blobs":
        pattern = np.where(ndimage.gaussian_filter(noise, 5) > 0, 1.0, -1.0)
    else:
        pattern = noise
    return (128 + 40 * pattern + 5 * rng.normal(size=noise.shape)).clip(0, 255).astype(np.uint8)


def make_folder(
    folder: Path, count: int = 12, kinds: tuple[str, ...] = ("blobs", "noise", "stripes")
) -> Path:
    for k, kind in enumerate(kinds):
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(texture(kind, 100 * k + i)).save(folder / kind / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("textures") / "classes")


@pytest.fixture(scope="module")
def learnt(textures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ClassValidation]]:
    output = tmp_path_factory.mktemp("learnt")
    reports = list(iter_pretrain(textures, output, SMALL))
    end = reports[-1]
    assert isinstance(end, PretrainEnd)
    assert end.encoder == output / "encoder.safetensors"
    validations = [r for r in reports if isinstance(r, ClassValidation)]
    assert end.best == [v for v in validations if v.best][-1]
    return end.encoder, validations


def test_textures_are_recognised(learnt: tuple[Path, list[ClassValidation]]) -> None:
    best = [v for v in learnt[1] if v.best][-1]
    assert best.counts == (4, 4, 4)
    assert best.top1 > 0.9
    assert best.balanced_accuracy > 0.9


def test_file_says_what_it_is(learnt: tuple[Path, list[ClassValidation]]) -> None:
    path, validations = learnt
    best = [v for v in validations if v.best][-1]
    with safe_open(path, framework="numpy") as file:
        record = EncoderRecord.model_validate_json(file.metadata()["micro_ktnet_encoder"])
    assert [(c.name, c.training, c.validation) for c in record.classes] == [
        ("blobs", 8, 4),
        ("noise", 8, 4),
        ("stripes", 8, 4),
    ]
    assert (record.encoder, record.step, record.config) == ("resnet18", best.step, SMALL)
    assert (record.top1, record.balanced_accuracy) == (best.top1, best.balanced_accuracy)
    assert torch.__version__.startswith(record.versions["torch"])
    with (path.parent / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [12, 24]
    assert [float(r["balanced_accuracy"]) for r in rows] == [v.balanced_accuracy for v in validations]
    assert {r["images"] for r in rows} == {"12"}
    assert not list(path.parent.glob(".*"))


def test_training_starts_from_the_same_weights_bit_for_bit(
    learnt: tuple[Path, list[ClassValidation]], tmp_path: Path
) -> None:
    saved = load_file(learnt[0])
    assert set(saved) == set(build_encoder("resnet18").state_dict())
    network, _ = start_network(preset("quick", encoder="resnet18", init=str(learnt[0])), [])
    for key, value in encoder_of(network).state_dict().items():
        assert torch.equal(value, saved[key]), key
    for i in range(2):
        for folder, pixels in zip(("images", "masks"), blobs(seed=i), strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    arguments = [
        *("train", "--images", str(tmp_path / "images"), "--masks", str(tmp_path / "masks")),
        *("--output", str(tmp_path / "run"), "--encoder", "resnet18", "--init", str(learnt[0])),
        *("--steps", "1", "--crop", "32", "--batch-size", "2", "--freeze-encoder", "--device", "cpu"),
    ]
    assert main(arguments) == 0
    trained = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(trained[f"encoder.{key}"], value) for key, value in saved.items())


def test_another_encoder_is_refused(learnt: tuple[Path, list[ClassValidation]]) -> None:
    with pytest.raises(ModelError, match="resnet34"):
        start_network(preset("quick", encoder="resnet34", init=str(learnt[0])), [])


def test_weights_follow_from_seed_alone(
    textures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_file(pretrain(textures, tmp_path / "a", SHORT))
    torch.manual_seed(99)
    # Nothing fits into memory, so that every image is read again each time.
    monkeypatch.setattr(class_folders.GreyImages.__init__, "__defaults__", (0,))
    again = load_file(pretrain(textures, tmp_path / "b", SHORT))
    other = load_file(pretrain(textures, tmp_path / "c", SHORT.model_copy(update={"seed": 1})))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_starts_from_its_own_result(
    learnt: tuple[Path, list[ClassValidation]], textures: Path, tmp_path: Path
) -> None:
    config = SHORT.model_copy(update={"init": str(learnt[0]), "lr": 1e-30, "steps": 1, "weight_decay": 0.0})
    went_on = load_file(pretrain(textures, tmp_path, config))
    begun = load_file(learnt[0])
    assert torch.equal(went_on["layer4.1.conv2.weight"], begun["layer4.1.conv2.weight"])


def test_pooling_and_linear_layer() -> None:
    torch.manual_seed(0)
    network = Classifier(build_encoder("resnet18"), 3).eval()
    x = torch.randn(2, 3, 64, 96)
    deepest = network.encoder(x)[-1]
    expected = torch.einsum("nchw,kc->nk", deepest, network.head.weight) / 6 + network.head.bias
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("done", "share"), [(0, 0.5), (1, 1.0), (2, 1.0), (21, 0.5), (40, 0.0)])
def test_rate_rises_then_falls_along_a_cosine(done: int, share: float) -> None:
    assert warm_cosine(done, 40) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.1, 1), (2, 0.9, 1), (10, 0.2, 2), (10, 0.99, 9)])
def test_every_class_gives_its_share(count: int, share: float, held: int) -> None:
    files = {name: [Path(f"{name}{i}") for i in range(count)] for name in "ab"}
    training, validation = hold_back_of_each(files, share, 0)
    for name in files:
        assert len(validation[name]) == held
        assert sorted(training[name] + validation[name]) == files[name]
    assert hold_back_of_each(files, share, 0) == (training, validation)


def test_classes_are_drawn_alike_however_many_images_they_have(tmp_path: Path) -> None:
    files: dict[str, list[Path]] = {}
    for name, grey, count in (("dark-left", 0, 1), ("dark-right", 1, 9)):
        pixels = np.repeat(np.eye(2, dtype=np.uint8)[grey] * 200, 32)[None].repeat(64, 0)
        files[name] = [tmp_path / f"{name}{i}.png" for i in range(count)]
        for path in files[name]:
            Image.fromarray(pixels).save(path)
    config = PretrainConfig(batch_size=400, crop=32, augment=AugmentConfig(horizontal_flip=0))
    images, classes = ClassSampler(files, GreyImages(Normalization()), config).batch(1)
    assert images.shape == (400, 32, 32)
    # Four standard deviations of a binomial distribution.
    assert abs(int((classes == 0).sum()) - 200) < 40


def test_data_bar_is_left_out(tmp_path: Path) -> None:
    pixels = np.hstack([texture("blobs", i, 400) for i in range(2)])
    bar = Image.new("L", (800, 40))
    for x in range(20, 780, 150):
        ImageDraw.Draw(bar).text((x, 12), "WD = 8.4 mm", fill=255)
    Image.fromarray(np.vstack([pixels, np.array(bar)])).save(tmp_path / "a.png")
    grey = GreyImages(Normalization())[tmp_path / "a.png"]
    expected = find_stretch(pixels, Normalization())(pixels)
    np.testing.assert_array_equal(grey, expected.astype(np.float16))


@pytest.mark.parametrize(("shape", "count"), [((64, 64), 1), ((40, 64), 1), ((65, 64), 2), ((300, 200), 4)])
def test_plain_crops_cover_an_image(shape: tuple[int, int], count: int) -> None:
    grey = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape) / 1e5
    crops = plain_crops(grey.astype(np.float16), 64)
    assert crops.shape == (count, 64, 64)
    if count == 4:
        # Centred at a quarter and three quarters of each axis.
        expected = grey.astype(np.float16)[75 - 32 : 75 + 32, 150 - 32 : 150 + 32]
        np.testing.assert_array_equal(crops[1].numpy(), expected.astype(np.float32))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (None, "no folder"),
        ({}, "no subfolder"),
        ({"a": 3}, r"only one subfolder \(a\)"),
        ({"a": 3, "b": 1, "c": 0}, r"fewer than 2 usable images.*: b \(1\), c \(0\)"),
    ],
)
def test_folders_that_cannot_be_used(classes: dict[str, int] | None, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    if classes is not None:
        folder.mkdir()
        (folder / ".hidden").mkdir()
        (folder / "notes.txt").write_text("x")
    for name, count in (classes or {}).items():
        (folder / name).mkdir()
        for i in range(count):
            Image.fromarray(texture("noise", i)).save(folder / name / f"{i}.png")
    with pytest.raises(DataError, match=message):
        pretrain(folder, tmp_path / "out", SHORT)
    assert not (tmp_path / "out").exists()


def test_unusable_images_are_named_and_left_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "classes", 3, ("blobs", "noise"))
    (folder / "blobs" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    colour = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(colour).save(folder / "noise" / "colour.png")
    reports = list(iter_pretrain(folder, tmp_path / "out", SHORT))
    notices = [r.text for r in reports if isinstance(r, Notice)]
    assert [n.split(": ")[0] for n in notices[:2]] == [
        "blobs/broken.png is left out",
        "noise/colour.png is left out",
    ]
    assert notices[2:] == ["Fewer than 5 images are held back of: blobs 1, noise 1. Scores will be coarse."]
    end = reports[-1]
    assert isinstance(end, PretrainEnd)
    assert end.best.counts == (1, 1)


@pytest.mark.parametrize(("good", "message"), [(0, "None of the 4 images"), (1, r"fewer than 2.*: b \(1\)")])
def test_too_few_readable_images(good: int, message: str, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.png").write_bytes(b"nothing")
            if (name == "a" and good) or i < good:
                Image.fromarray(texture("noise", i)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(DataError, match=message):
        pretrain(tmp_path, tmp_path / "out", SHORT)


def test_loss_that_is_no_number_ends_the_run(textures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="loss became"):
        pretrain(textures, tmp_path, SHORT.model_copy(update={"lr": 1e30, "steps": 9}))


def test_command_line(textures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        *("pretrain", str(textures), "--output", str(tmp_path), "--encoder", "resnet18"),
        *("--steps", "2", "--batch-size", "4", "--crop", "32", "--device", "cpu"),
    ]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    encoder = tmp_path / "encoder.safetensors"
    assert "of 6 (top-1" in out
    assert "By class: blobs" in out
    assert f"--encoder resnet18 --init {encoder}" in out
    before = encoder.read_bytes()
    assert main(arguments) == 2
    assert "holds a pre-trained encoder already" in capsys.readouterr().err
    assert encoder.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "resnet19"], "no encoder"),
        (["--encoder", "resnet18", "--init", "imagenet"], "local file"),
        (["--encoder", "resnet18", "--init", "nothing.pth"], "weights file nothing.pth cannot be read"),
        (["--batch-size", "1"], "batch_size"),
        (["--validation-share", "1"], "validation_share"),
    ],
)
def test_wrong_use_on_the_command_line(
    arguments: list[str],
    message: str,
    textures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["pretrain", str(textures), "--output", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
