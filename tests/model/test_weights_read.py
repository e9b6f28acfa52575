"""Files of weights: what is read, what is refused, and that nothing in them is executed."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_micro_ktnet.errors import FetchError, ModelError, OutputError, UnsafeFileError, WeightsError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.model import cache as cache_module
from napari_micro_ktnet.model.cache import cache_folder, record_path
from napari_micro_ktnet.model.encoder_networks import build_encoder
from napari_micro_ktnet.model.fetch import cached_micronet, micronet_path
from napari_micro_ktnet.model.micronet import find_micronet
from napari_micro_ktnet.model.weights import import_weights, load_encoder_weights, read_state_dict

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1, 2])}


class CreatesFile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"echo executed > {self.path}",)


def _bare(path: Path) -> None:
    torch.save(STATE, path)


def _old_format(path: Path) -> None:
    torch.save(STATE, path, _use_new_zipfile_serialization=False)


def _data_parallel(path: Path) -> None:
    torch.save({f"module.{key}": value for key, value in STATE.items()}, path)


def _wrapped(path: Path) -> None:
    torch.save({"state_dict": {f"module.{k}": v for k, v in STATE.items()}, "epoch": 3, "arch": "x"}, path)


def _model_state(path: Path) -> None:
    torch.save({"model_state_dict": STATE, "optimizer": {"lr": 0.1}}, path)


def _safetensors(path: Path) -> None:
    save_file(STATE, path)


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        *((_bare, suffix) for suffix in (".pth", ".pth.tar", ".pt")),
        *((write, ".pth") for write in (_old_format, _data_parallel, _wrapped, _model_state)),
        *((_safetensors, suffix) for suffix in (".safetensors", ".pth.tar")),
    ],
)
def test_state_dicts_as_people_save_them(tmp_path: Path, write: Callable[[Path], None], suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    write(path)
    state = read_state_dict(path)
    assert sorted(state) == sorted(STATE)
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "save",
    [
        lambda evil, path: torch.save({"w": torch.zeros(2), "x": evil}, path),
        lambda evil, path: torch.save({"x": evil}, path, _use_new_zipfile_serialization=False),
        lambda evil, path: path.write_bytes(pickle.dumps({"x": evil}, protocol=2)),
        lambda evil, path: path.write_bytes(pickle.dumps({"x": evil})),
        lambda evil, path: path.write_bytes(pickle.dumps(evil, protocol=0)),
    ],
)
def test_code_in_a_file_is_refused_and_never_runs(tmp_path: Path, save: Callable[[Any, Path], None]) -> None:
    victim = tmp_path / "executed.txt"
    path = tmp_path / "evil.pth"
    save(CreatesFile(victim), path)
    with pytest.raises(UnsafeFileError, match=r"evil\.pth.*refused"):
        read_state_dict(path)
    assert not victim.exists()


def test_the_code_in_these_tests_does_run_when_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(CreatesFile(tmp_path / "executed.txt")))
    assert (tmp_path / "executed.txt").exists()


def test_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "network.pth")
    with pytest.raises(UnsafeFileError, match="plain state dict"):
        read_state_dict(tmp_path / "network.pth")


def _truncated(path: Path) -> None:
    torch.save({"w": torch.zeros(20_000)}, path)
    path.write_bytes(path.read_bytes()[:40_000])


def _truncated_old(path: Path) -> None:
    torch.save({"w": torch.zeros(20_000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:40_000])


def _text(path: Path) -> None:
    path.write_text("encoder,accuracy\nresnet50,62.0\n" * 40)


def _list(path: Path) -> None:
    torch.save([1, 2, 3], path)


def _numbers(path: Path) -> None:
    torch.save({"a": torch.zeros(1), "lr": 0.1}, path)


def _truncated_safetensors(path: Path) -> None:
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "cannot be read .No such file"),
        (lambda path: path.write_bytes(b""), "truncated"),
        (_truncated, "truncated"),
        (_truncated_old, "truncated"),
        (_text, "not a file of weights"),
        (_list, "holds a list"),
        (lambda path: torch.save({}, path), "holds a dict"),
        (_numbers, "lr is not a tensor"),
        (_truncated_safetensors, "safetensors"),
    ],
)
def test_other_files_are_named_in_a_clear_error(
    tmp_path: Path, write: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "file.pth"
    write(path)
    with pytest.raises(WeightsError, match=words) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published ones: an encoder's tensors and a classifier of 54 classes."""
    path = tmp_path_factory.mktemp("published") / "from_usb_stick.pth.tar"
    state = build_encoder("resnet18").state_dict()
    torch.save({**state, "fc.weight": torch.zeros(54, 512), "fc.bias": torch.zeros(54)}, path)
    return path


def test_import_copies_checks_and_records(tmp_path: Path, published: Path) -> None:
    path = import_weights(published, "resnet18", "micronet", cache=tmp_path)
    assert path == tmp_path / "micronet" / "resnet18_pretrained_microscopynet_v1.0.pth.tar"
    assert path.read_bytes() == published.read_bytes()
    record = json.loads(record_path(path).read_text())
    assert record["sha256"] == file_sha256(published)
    assert record["size"] == published.stat().st_size
    assert record["source"] == str(published)
    assert cached_micronet("resnet18", "micronet", cache=tmp_path) == path
    encoder = build_encoder("resnet18")
    load_encoder_weights(encoder, "resnet18", read_state_dict(path), source=str(path))
    expected = torch.load(published, weights_only=True)["conv1.weight"]
    assert torch.equal(encoder.conv1.weight, expected)


def test_import_of_safetensors_under_the_published_name(tmp_path: Path, published: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    save_file(torch.load(published, weights_only=True), copy)
    path = import_weights(copy, "resnet18", "micronet", cache=tmp_path)
    assert len(read_state_dict(path)) == 122


@pytest.mark.parametrize(
    ("encoder", "error", "words"),
    [
        ("resnet34", WeightsError, "80 missing.*layer1"),
        ("resnet50", WeightsError, "another shape"),
        ("resnet19", WeightsError, "'resnet18'"),
    ],
)
def test_import_of_what_does_not_fit_leaves_nothing(
    tmp_path: Path, published: Path, encoder: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        import_weights(published, encoder, "micronet", cache=tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_import_onto_a_full_disk_leaves_the_earlier_file(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = import_weights(published, "resnet18", "micronet", cache=tmp_path)

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.shutil, "copyfile", full)
    with pytest.raises(OutputError, match="disk is full"):
        import_weights(published, "resnet18", "micronet", cache=tmp_path)
    assert cached_micronet("resnet18", "micronet", cache=tmp_path).read_bytes() == published.read_bytes()
    assert not list(path.parent.glob("*.tmp"))


def test_weights_that_are_not_cached_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"models fetch resnet18 --variant micronet.*models import FILE"):
        cached_micronet("resnet18", "micronet", cache=tmp_path)


def test_damaged_file_is_noticed_at_every_use(tmp_path: Path, published: Path) -> None:
    path = import_weights(published, "resnet18", "micronet", cache=tmp_path)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(FetchError, match="not the file that was recorded"):
        cached_micronet("resnet18", "micronet", cache=tmp_path)


def test_damaged_record_is_named(tmp_path: Path, published: Path) -> None:
    path = import_weights(published, "resnet18", "micronet", cache=tmp_path)
    record_path(path).write_text("{")
    with pytest.raises(FetchError, match=r"\.json is not a record"):
        cached_micronet("resnet18", "micronet", cache=tmp_path)


def test_file_put_there_by_hand_is_recorded_at_first_use(tmp_path: Path, published: Path) -> None:
    path = micronet_path(find_micronet("resnet18", "micronet"), tmp_path)
    path.parent.mkdir()
    path.write_bytes(published.read_bytes())
    cached_micronet("resnet18", "micronet", cache=tmp_path)
    assert json.loads(record_path(path).read_text())["sha256"] == file_sha256(published)


def test_cache_folder_prefers_argument_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_KTNET_CACHE", str(tmp_path / "environment"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "environment"
    assert cache_folder("~/weights") == Path.home() / "weights"
    monkeypatch.delenv("MICRO_KTNET_CACHE")
    assert "napari-micro-ktnet" in str(cache_folder())
    assert issubclass(UnsafeFileError, ModelError)
