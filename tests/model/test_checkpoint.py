from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import small_model_file
from napari_micro_ktnet.errors import ModelError, OutputError, UnsafeFileError
from napari_micro_ktnet.model import checkpoint
from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.checkpoint import (
    HistoryEntry,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from napari_micro_ktnet.model.registry import add_model, list_models, load_model, remove_model
from napari_micro_ktnet.model.spec import LabelClass, ModelSpec

SPEC = ModelSpec(
    encoder="resnet18",
    classes=(LabelClass(name="pigment", color="#00ff00"),),
    pixel_size_nm=(12.5, 25.0),
    origin="here",
    licence="CC0",
)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_network(SPEC)


def test_everything_comes_back(tmp_path: Path, network: torch.nn.Module) -> None:
    entry = HistoryEntry(what="trained", when="2026-01-01T00:00:00+00:00", details={"seed": 3})
    info = read_checkpoint_info(save_checkpoint(tmp_path / "m.safetensors", network, SPEC, (entry,)))
    assert info.spec == SPEC
    assert info.history == (entry,)
    loaded = load_network(info)
    assert not loaded.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key


def test_half_size_keeps_statistics_exact(tmp_path: Path, network: torch.nn.Module) -> None:
    network.get_buffer("encoder.bn1.running_var").fill_(1e9)  # beyond float16
    path = save_checkpoint(tmp_path / "m.safetensors", network, SPEC, half=True)
    full = save_checkpoint(tmp_path / "f.safetensors", network, SPEC)
    assert path.stat().st_size < 0.55 * full.stat().st_size
    state = load_network(read_checkpoint_info(path)).state_dict()
    assert torch.equal(state["encoder.bn1.running_var"], network.get_buffer("encoder.bn1.running_var"))
    assert all(v.dtype == torch.float32 for v in state.values() if v.is_floating_point())
    torch.testing.assert_close(state["head.weight"], network.head.weight, rtol=1e-3, atol=1e-6)


class _Malicious:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_is_refused_and_never_executed(tmp_path: Path, kind: str) -> None:
    proof, path = tmp_path / "executed", tmp_path / "model.safetensors"
    content = {"weights": _Malicious(str(proof))}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(UnsafeFileError, match="not opened"):
        load_model(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable safetensors"),
        (b"hello, this is text", "not a readable safetensors"),
        ((2**60).to_bytes(8, "little") + b"{}", "not a readable safetensors"),
    ],
    ids=["empty", "text", "absurd header"],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model(path)


def _rewrite(path: Path, change: dict[str, torch.Tensor | None], header: str | None = None) -> None:
    tensors = {k: v.clone() for k, v in load_file(path).items()} | change
    info = read_checkpoint_info(path)
    text = header or json.dumps({"spec": info.spec.model_dump(mode="json"), "history": []})
    save_file({k: v for k, v in tensors.items() if v is not None}, path, {"micro_ktnet": text})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.bias": None}, r"1 missing \(head\.bias\)"),
        ({"extra": torch.zeros(1)}, r"1 unexpected \(extra\)"),
        ({"head.bias": torch.zeros(7)}, r"head\.bias: \(7,\) instead of \(1,\)"),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    path = small_model_file(tmp_path / "m.safetensors")
    _rewrite(path, change)
    with pytest.raises(ModelError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{}", "spec"),
        ('{"spec": {"architecture": "vision-oracle"}}', "architecture"),
        ('{"spec": {"schema_version": 99}}', "schema_version"),
        ("not json", "not valid"),
    ],
)
def test_invalid_records(tmp_path: Path, header: str, message: str) -> None:
    path = small_model_file(tmp_path / "m.safetensors")
    _rewrite(path, {}, header)
    with pytest.raises(ModelError, match=message):
        read_checkpoint_info(path)


def test_foreign_safetensors(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="without the record"):
        load_model(tmp_path / "x.safetensors")


def test_full_disk_leaves_the_old_model(
    tmp_path: Path, network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_checkpoint(tmp_path / "m.safetensors", network, SPEC)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OutputError, match="disk is full"):
        checkpoint.save_checkpoint(path, network, SPEC)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_models_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_KTNET_MODELS", str(tmp_path / "models"))
    source = small_model_file(tmp_path / "mine.safetensors")
    add_model(source, "lab-7")
    assert "lab-7" in [m.name for m in list_models()]
    assert load_model("lab-7").spec.encoder == "resnet18"
    for name, message in (("lab-7", "exists already"), ("../evil", "cannot be"), ("starter", "cannot be")):
        with pytest.raises(ModelError, match=message):
            add_model(source, name)
    remove_model("lab-7")
    assert "lab-7" not in [m.name for m in list_models()]
    with pytest.raises(ModelError, match="No model named 'lab-7'"):
        load_model("lab-7")
    for name in ("starter", "../mine"):
        with pytest.raises(ModelError):
            remove_model(name)
    assert source.is_file()


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    # The file begins with the length of its header, and 128 modulo 256 is a pickle's first byte.
    path = tmp_path / "m.safetensors"
    spec = SPEC.model_dump(mode="json")
    for extra in range(0, 256, 8):
        text = json.dumps({"spec": spec | {"origin": "x" * extra}, "history": []})
        save_file({"x": torch.zeros(1)}, path, {"micro_ktnet": text})
        if path.read_bytes()[0] == 0x80:
            break
    else:
        pytest.fail("no such header was made")
    assert read_checkpoint_info(path).spec.origin == "x" * extra
