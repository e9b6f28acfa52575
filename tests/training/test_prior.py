from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from blobs import blobs
from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.checkpoint import read_checkpoint_info, save_checkpoint
from napari_micro_ktnet.model.registry import Model, load_model
from napari_micro_ktnet.model.spec import LabelClass, ModelSpec
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.training import prior
from napari_micro_ktnet.training.config import preset
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.loop import iter_resume, iter_train
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.prior import CORRECTED, correct_file, correct_prior, estimate_shares
from napari_micro_ktnet.training.reports import EndReport, Notice
from napari_micro_ktnet.training.run import Run

TINY = {"encoder": "mobilenet_v2", "init": "random", "steps": 2, "batch_size": 2, "crop": 64}


def strokes(seed: int) -> ImagePair:
    """Half of the strokes on agglomerates, whatever their share."""
    image, truth = blobs((96, 128), seed)
    mask = np.full(truth.shape, IGNORE, np.uint8)
    rng = np.random.default_rng(seed)
    for value in (0, 1):
        places = np.argwhere((truth > 0) == value)
        mask[tuple(places[rng.choice(len(places), 60, replace=False)].T)] = value
    return ImagePair(f"{seed}.tif", image, mask)


@pytest.mark.parametrize("true", [(0.5, 0.5), (0.9, 0.1), (0.98, 0.02)])
def test_shares_of_a_known_mixture(true: tuple[float, float]) -> None:
    annotated = np.array([0.6, 0.4])
    rng = np.random.default_rng(0)
    kind = rng.random(100_000) < true[1]
    grey = rng.normal(2.0 * kind, 1.0)
    # The exact posterior of a model that was trained with the shares `annotated` (Bayes).
    density = np.stack([stats.norm.pdf(grey, 0), stats.norm.pdf(grey, 2)], axis=1) * annotated
    posterior = density / density.sum(1, keepdims=True)
    assert abs(posterior[:, 1].mean() - true[1]) > 0.03 or true == (0.5, 0.5)
    assert estimate_shares(posterior, annotated) == pytest.approx(np.array(true), abs=0.005)


def test_three_classes() -> None:
    true, annotated = np.array([0.8, 0.15, 0.05]), np.array([0.2, 0.5, 0.3])
    rng = np.random.default_rng(1)
    kind = rng.choice(3, 100_000, p=true)
    grey = rng.normal(2.5 * kind, 1.0)
    density = np.stack([stats.norm.pdf(grey, 2.5 * k) for k in range(3)], axis=1) * annotated
    posterior = density / density.sum(1, keepdims=True)
    assert estimate_shares(posterior, annotated) == pytest.approx(true, abs=0.005)


@pytest.mark.parametrize("names", [("agglomerate",), ("agglomerate", "pore")])
def test_the_odds_of_every_pixel_are_multiplied(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    classes = tuple(LabelClass(name=n, color=c) for n, c in zip(names, ("#ff0000", "#00ff00"), strict=False))
    spec = ModelSpec(encoder="mobilenet_v2", classes=classes)
    model = Model("m", build_network(spec).eval(), spec)
    pair = strokes(0)
    if len(names) > 1:
        pair.mask[:2, :20] = 2
    before = segment(pair.pixels, model, device="cpu", precision="float32").probability
    fixed = np.array([0.7, 0.3] if len(names) == 1 else [0.6, 0.3, 0.1])
    monkeypatch.setattr(prior, "estimate_shares", lambda *_: fixed)
    monkeypatch.setattr(prior, "_KEPT", 0.0)
    found = correct_prior(model, [pair], device="cpu", precision="float32")
    assert found is not None
    assert found.fraction == 1
    after = segment(pair.pixels, model, device="cpu", precision="float32").probability
    ratio = np.array(found.estimated) / np.array(found.annotated)
    if len(names) == 1:
        before, after = (np.concatenate([1 - p, p]) for p in (before, after))
    expected = before * ratio[:, None, None]
    assert after == pytest.approx(expected / expected.sum(0), abs=1e-4)


def test_nothing_is_done_where_a_class_is_annotated_nowhere() -> None:
    spec = ModelSpec(encoder="mobilenet_v2")
    model = Model("m", build_network(spec).eval(), spec)
    pair = strokes(0)
    pair.mask[pair.mask == 1] = IGNORE
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    assert correct_prior(model, [pair], device="cpu") is None
    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())


def test_marked_pixels_stay_right() -> None:
    truth = np.repeat([0, 1], 100).astype(np.uint8)
    agglomerate = np.concatenate([np.full(100, 0.1), np.linspace(0.51, 0.99, 100)])
    found = np.stack([1 - agglomerate, agglomerate], axis=1)
    # The odds divided by 3 turn all below 0.75: half of them. Of 1/3 of that in the logit, those below
    # 3^f / (1 + 3^f), which must be no more than the 10 lowest.
    fraction = prior._bearable(found, truth, np.array([np.log(3), 0.0]))
    lost = (agglomerate[100:] < 3**fraction / (1 + 3**fraction)).sum()
    assert 0 < fraction < 1
    assert 7 <= lost <= 10
    assert prior._bearable(found, truth, np.array([0.0, np.log(3)])) == 1


def test_a_file_is_corrected_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior, "estimate_shares", lambda *_: np.array([0.7, 0.3]))
    monkeypatch.setattr(prior, "_KEPT", 0.0)
    spec = ModelSpec(encoder="mobilenet_v2")
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, build_network(spec), spec)
    assert correct_file(path, [strokes(0)], device="cpu") is not None
    content = path.read_bytes()
    assert correct_file(path, [strokes(0)], device="cpu") is None
    assert path.read_bytes() == content


@pytest.mark.parametrize("sparse", [True, False])
def test_runs_on_strokes_end_with_a_correction(
    sparse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two steps teach nothing that shares could be estimated from.
    monkeypatch.setattr(prior, "estimate_shares", lambda *_: np.array([0.7, 0.3]))
    monkeypatch.setattr(prior, "_KEPT", 0.0)
    training, held = [strokes(0), strokes(1)], [strokes(2)]
    if not sparse:
        for pair in (*training, *held):
            pair.mask[pair.mask == IGNORE] = 0
    config = preset("quick", **TINY)
    reports = list(iter_train(training, held, tmp_path / "run", config))
    assert isinstance(reports[-1], EndReport)
    history = read_checkpoint_info(tmp_path / "run" / "model.safetensors").history
    assert [h.what == CORRECTED for h in history] == ([False, True] if sparse else [False])
    told = [r.text for r in reports if isinstance(r, Notice)]
    assert [t.startswith("The model was corrected for the shares") for t in told] == [True] * sparse
    # A run that is at its end already changes nothing more.
    content = (tmp_path / "run" / "model.safetensors").read_bytes()
    list(iter_resume(Run(tmp_path / "run"), training, held))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == content
    assert load_model(tmp_path / "run" / "model.safetensors").spec.channels == 1
