from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import blobs
from napari_micro_ktnet.errors import InputError, OutputError, TrainingError
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.training import loop, state, trainer
from napari_micro_ktnet.training.config import DataConfig, TrainingConfig, preset
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.loop import iter_resume, iter_train, train
from napari_micro_ktnet.training.manifest import make_manifest
from napari_micro_ktnet.training.reports import EndReport, Notice, StepReport, ValidationReport
from napari_micro_ktnet.training.run import Run, list_runs
from napari_micro_ktnet.training.run_config import RunConfig, parse_config
from napari_micro_ktnet.training.state import read_state

PAIRS = [ImagePair(f"image-{i}", *blobs(seed=i)) for i in range(3)]
HELD = [ImagePair("held", *blobs(seed=99))]
KILLED = """
import sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from training.test_run import HELD, PAIRS, settings
from napari_micro_ktnet.training.loop import iter_resume, iter_train
from napari_micro_ktnet.training.run import Run
path = Path(sys.argv[1])
steps = iter_resume(Run(path), PAIRS, HELD) if path.exists() else iter_train(PAIRS, HELD, path, settings())
for _ in steps:
    pass
"""


def settings(**changes: object) -> TrainingConfig:
    """A network with dropout and stochastic depth, so that their draws count too."""
    size = {"encoder": "timm-tf_efficientnet_lite0", "crop": 64, "batch_size": 2, "steps": 12}
    how = {"init": "random", "device": "cpu", "validate_every": 5, "save_every": 2}
    return preset("quick", **size | how | changes)


def assert_same_state(a: Path, b: Path) -> None:
    (one, first), (other, second) = (read_state(path / "state.safetensors") for path in (a, b))
    assert first == second
    assert one.keys() == other.keys()
    differences = {k: float((one[k].double() - other[k].double()).abs().max()) for k in one}
    assert {k: v for k, v in differences.items() if v != 0} == {}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Results are the same bit for bit only with the same number of threads; numba changes torch's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(PAIRS, HELD, path, settings())
    return path


@pytest.mark.parametrize("stop_at", [1, 5, 7])
def test_a_closed_run_resumes_to_the_same_weights(tmp_path: Path, whole: Path, stop_at: int) -> None:
    steps = iter_train(PAIRS, HELD, tmp_path, settings())
    next(r for r in steps if isinstance(r, StepReport) and r.step == stop_at)
    steps.close()
    assert Run(tmp_path).summary().status == "stopped"
    assert load_model(tmp_path / "model.safetensors").spec.encoder == "timm-tf_efficientnet_lite0"
    reports = list(iter_resume(Run(tmp_path), PAIRS, HELD))
    assert [r.step for r in reports if isinstance(r, StepReport)] == list(range(stop_at + 1, 13))
    assert_same_state(tmp_path, whole)
    assert (tmp_path / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert Run(tmp_path).summary().status == "finished"


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parents[1])]
    for least in (3, 8):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        wait_for(lambda least=least, p=process: steps_done(path) >= least or p.poll() is not None)
        assert process.poll() is None, process.communicate()[1].decode()
        assert Run(path).is_running()
        process.kill()
        process.wait()
        assert Run(path).summary().status == "interrupted"
        # At most save_every steps are lost.
        assert steps_done(path) - read_state(path / "state.safetensors")[1].step <= 2
    for _ in iter_resume(Run(path), PAIRS, HELD):
        pass
    assert_same_state(path, whole)
    assert (path / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    done = [e["step"] for e in Run(path).events()[0] if e["event"] == "step"]
    assert done == list(range(1, 13))


def steps_done(path: Path) -> int:
    return Run(path).summary().step if (path / "run.toml").exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_stopping_on_request_saves_the_state(tmp_path: Path) -> None:
    reports = []
    for report in iter_train(PAIRS, HELD, tmp_path, settings(save_every=100)):
        reports.append(report)
        if isinstance(report, StepReport) and report.step == 3:
            Run(tmp_path).request_stop()
    assert reports[-1] == EndReport(3, 12, "stopped", tmp_path / "model.safetensors")
    assert read_state(tmp_path / "state.safetensors")[1].step == 3
    assert not Run(tmp_path).is_running()
    assert next(iter_resume(Run(tmp_path), PAIRS, HELD)).step == 4


def test_two_trainings_in_one_directory(tmp_path: Path) -> None:
    steps = iter_train(PAIRS, HELD, tmp_path, settings())
    next(steps)
    assert Run(tmp_path).summary().status == "running"
    with pytest.raises(TrainingError, match="another process"):
        next(iter_resume(Run(tmp_path), PAIRS, HELD))
    with pytest.raises(InputError, match="holds a training run already"):
        next(iter_train(PAIRS, HELD, tmp_path, settings()))
    steps.close()


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "metrics.csv"])
def test_files_of_others_are_not_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(InputError, match="choose another directory, or move it away"):
        next(iter_train(PAIRS, HELD, tmp_path, settings()))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (PAIRS[:2], "missing: image-2"),
        ([*PAIRS[:2], ImagePair("image-2", *blobs(seed=7))], "changed: image-2"),
        ([*PAIRS, ImagePair("image-3", *blobs(seed=3))], "new: image-3"),
    ],
)
def test_resuming_with_other_images(whole: Path, pairs: list[ImagePair], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        next(iter_resume(Run(whole), pairs, HELD))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.toml", b"steps = [", "run.toml cannot be read"),
        ("run.toml", b"[training]\nsteps = 0\n", "steps cannot be 0"),
        ("manifest.json", b"{", "corrupt"),
        ("state.safetensors", b"\x80\x04 not a state", "state .* is corrupt"),
        ("state.safetensors", b"", "state .* is corrupt"),
    ],
)
def test_a_corrupt_directory(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    steps = iter_train(PAIRS, HELD, tmp_path, settings(steps=1))
    assert isinstance(next(steps), StepReport)
    steps.close()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        next(iter_resume(Run(tmp_path), PAIRS, HELD))


def test_a_state_of_another_network(tmp_path: Path, whole: Path) -> None:
    steps = iter_train(PAIRS, HELD, tmp_path, settings(encoder="resnet18"))
    next(steps)
    steps.close()
    (tmp_path / "state.safetensors").write_bytes((whole / "state.safetensors").read_bytes())
    with pytest.raises(TrainingError, match="does not fit"):
        next(iter_resume(Run(tmp_path), PAIRS, HELD))


def test_a_loss_that_is_no_number_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_loss = trainer.loss_from_sums
    calls = iter(range(1, 100))
    monkeypatch.setattr(
        trainer, "loss_from_sums", lambda *a: whole_loss(*a) * (np.nan if next(calls) == 5 else 1.0)
    )
    with pytest.raises(TrainingError, match="nan at step 5"):
        train(PAIRS, HELD, tmp_path, settings())
    tensors, progress = read_state(tmp_path / "state.safetensors")
    assert progress.step == 4
    assert all(torch.isfinite(value).all() for value in tensors.values())
    assert Run(tmp_path).summary().status == "failed"
    assert "nan at step 5" in Run(tmp_path).events()[0][-1]["reason"]


def test_a_full_disk_keeps_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter_train(PAIRS, HELD, tmp_path, settings())
    next(r for r in steps if isinstance(r, StepReport) and r.step == 3)
    before = (tmp_path / "state.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", full)
        with pytest.raises(OutputError, match="disk is full"):
            list(steps)
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert [r.step for r in iter_resume(Run(tmp_path), PAIRS, HELD)][-1] == 12


def test_memory_that_runs_out_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trainer.normalise

    def small_memory(grey: torch.Tensor, *rest: object) -> torch.Tensor:
        if len(grey) > 2:
            raise torch.OutOfMemoryError("out of memory (made up by the test)")
        return real(grey, *rest)

    monkeypatch.setattr(trainer, "normalise", small_memory)
    reports = list(iter_train(PAIRS, HELD, tmp_path, settings(batch_size=8, steps=3)))
    notices = [r.text for r in reports if isinstance(r, Notice)]
    assert notices == ["Memory ran out: from step 1 on, 2 crops a step instead of 8."]
    assert read_state(tmp_path / "state.safetensors")[1].batch_size == 2


def test_no_improvement_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_mean_iou", lambda pooled: 0.5)
    config = settings(validate_every=1, patience=2, steps=10)
    reports = list(iter_train(PAIRS, HELD, tmp_path, config))
    assert [r.best for r in reports if isinstance(r, ValidationReport)] == [True, False, False]
    assert reports[-1] == EndReport(3, 10, "no improvement", tmp_path / "model.safetensors")


def test_frozen_parts_stay_as_they_are(tmp_path: Path) -> None:
    config = settings(freeze_encoder=True, freeze_batchnorm=True, ema=0.0, steps=3)
    network, _ = loop.start_network(config, PAIRS)
    trained = load_model(train(PAIRS, HELD, tmp_path, config)).network.state_dict()
    same = {k for k, v in network.state_dict().items() if torch.equal(v, trained[k])}
    assert all(k in same for k in trained if k.startswith("encoder.") or "running" in k)
    assert any(k not in same for k in trained if k.startswith("decoder."))


def test_config_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        '[data]\nimages = "i"\nmasks = "/abs/m"\nannotation = "scribbles"\n'
        '[training]\npreset = "paper"\nsteps = 7\n'
    )
    config = parse_config(tmp_path / "run.toml")
    assert config.training == preset("paper", steps=7)
    assert config.data == DataConfig(images=tmp_path / "i", masks=Path("/abs/m"), annotation="scribbles")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[data]\nimages = "i"\n', "data.masks is missing"),
        ("[training]\nspeed = 3\n", "no training setting speed"),
        ("training = 3\n", "run.toml"),
        ("schema_version = 9\n", "schema_version"),
    ],
)
def test_bad_config_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        parse_config(tmp_path / "run.toml")


def test_a_run_can_be_replayed_from_its_file(whole: Path) -> None:
    assert parse_config(whole / "run.toml") == RunConfig(training=settings())


def test_list_of_runs(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "good").symlink_to(whole)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.toml").write_text("nonsense")
    (tmp_path / "other").mkdir()
    assert [(r.path.name, r.status) for r in list_runs(tmp_path)] == [
        ("bad", "corrupt"),
        ("good", "finished"),
    ]
    assert list_runs(tmp_path / "nothing") == []


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    run = Run.create(tmp_path, RunConfig(training=settings()), make_manifest(PAIRS, HELD))
    run.log("step", step=1, loss=0.5)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "st')
    events, position = run.events()
    assert [e["step"] for e in events] == [1]
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('ep", "step": 2}\n')
    assert [e["step"] for e in run.events(position)[0]] == [2]


def test_previews(whole: Path) -> None:
    from napari_micro_ktnet.sem import read_sem

    image, labels = (read_sem(whole / f"preview_{n}.tif").pixels for n in ("image", "labels"))
    assert np.array_equal(image, HELD[0].pixels)
    assert labels.shape == image.shape
    manifest = json.loads((whole / "manifest.json").read_text())
    assert [(e["name"], e["part"]) for e in manifest["images"]][-1] == ("held", "validation")


@pytest.mark.skipif(os.name == "nt", reason="modes of files are those of POSIX")
def test_files_can_be_read_by_the_group(whole: Path) -> None:
    wanted = (whole / "run.toml").stat().st_mode
    assert {(whole / n).stat().st_mode for n in ("model.safetensors", "state.safetensors")} == {wanted}
