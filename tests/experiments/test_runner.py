from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_micro_ktnet.errors import DataError, InputError, ModelError
from napari_micro_ktnet.experiments import (
    EntryReport,
    ExperimentEnd,
    JobReport,
    Notice,
    ProgressReport,
    parse_experiment,
    run_experiment,
)
from napari_micro_ktnet.experiments.config import changed_config
from napari_micro_ktnet.experiments.data import load_images, make_folds
from napari_micro_ktnet.experiments.entries import make_entries
from napari_micro_ktnet.experiments.job import run_job
from napari_micro_ktnet.experiments.jobs import make_jobs
from napari_micro_ktnet.experiments.processes import _cores, _environment
from napari_micro_ktnet.experiments.statistics import SCORES
from napari_micro_ktnet.measurement.evaluation import evaluate
from napari_micro_ktnet.sem import read_sem


def table(output: Path) -> dict[str, dict[str, str]]:
    with (output / "results.csv").open() as file:
        return {row["entry"]: row for row in csv.DictReader(file)}


def test_a_table_from_images_to_files(tiny: Any, in_process: Any, tmp_path: Path) -> None:
    config = tiny(only=("linknet", "micro-ktnet"))
    output = tmp_path / "out"
    reports = list(run_experiment(config, output))
    progress = [(r.done, r.total) for r in reports if isinstance(r, ProgressReport)]
    assert progress[-1] == (8, 8)
    assert [r.row["entry"] for r in reports if isinstance(r, EntryReport)] == ["linknet", "micro-ktnet"]
    end = reports[-1]
    assert isinstance(end, ExperimentEnd)
    assert {p.name for p in end.files} >= {"results.csv", "results.md", "results.tex", "record.json"}
    assert all(p.is_file() for p in end.files)

    rows = table(output)
    assert list(next(iter(rows.values())))[:7] == ["entry", "status", "iou", "iou_mean", *SCORES[1:]]
    assert {name for name, row in rows.items() if row["status"] == "not run"} == set(rows) - {
        "linknet",
        "micro-ktnet",
    }
    # The pooled scores of all folds are those of one evaluation of all saved labels.
    images = load_images(config.data)
    for name in ("linknet", "micro-ktnet"):
        found = {p.stem: p for p in output.glob(f"runs/{name}-fold*/labels/*.tif")}
        labels = [read_sem(found[Path(p.name).stem]).pixels for p in images.pairs]
        scores = evaluate(labels, [p.mask for p in images.pairs])
        pooled, means = scores.pooled["agglomerate"].pixels, scores.mean_per_image["agglomerate"]
        for column in SCORES:
            assert float(rows[name][column]) == pytest.approx(getattr(pooled, column), abs=1e-12)
        assert float(rows[name]["iou_mean"]) == pytest.approx(means["iou"].value)
        assert rows[name]["images"] == "4"
    assert rows["micro-ktnet"]["p_value"] == ""
    assert 0 < float(rows["linknet"]["p_value"]) <= 1
    assert int(rows["linknet"]["parameters"]) < int(rows["micro-ktnet"]["parameters"])
    # Nothing of the size of a network is left.
    assert not list(output.rglob("*.safetensors"))

    record = json.loads((output / "record.json").read_text())
    for fold in record["folds"]:
        assert not set(fold["training"].values()) & set(fold["scored"].values())
    assert str(tmp_path) not in (output / "record.json").read_text()
    for file in ("record.json", "experiment.toml"):
        again = parse_experiment(output / file)
        assert again.training == config.training
        assert again.data.images == config.data.images.resolve()


def test_an_interrupted_experiment_goes_on(tiny: Any, in_process: Any, tmp_path: Path) -> None:
    config, output = tiny(only=("unet", "micro-ktnet")), tmp_path / "out"
    in_process.fail["micro-ktnet"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        list(run_experiment(config, output))
    assert len(in_process.done) == 2
    assert table(output)["unet"]["status"] == "done"
    assert table(output)["micro-ktnet"]["status"] == "not run"
    before = table(output)["unet"]
    with pytest.raises(InputError, match="--resume"):
        list(run_experiment(config, output))
    in_process.fail.clear()
    list(run_experiment(config, output, resume=True))
    assert len(in_process.done) == 4
    assert len(set(in_process.done)) == 4
    after = table(output)["unet"]
    assert {k: v for k, v in after.items() if k[:2] not in ("p_", "di")} == {
        k: v for k, v in before.items() if k[:2] not in ("p_", "di")
    }


def test_one_entry_fails(tiny: Any, in_process: Any, tmp_path: Path) -> None:
    config, output = tiny(only=("fpn", "linknet")), tmp_path / "out"
    in_process.fail["fpn"] = RuntimeError("made up by the test")
    reports = list(run_experiment(config, output))
    assert [r.reason for r in reports if isinstance(r, JobReport) and r.status == "failed"] == [
        "made up by the test"
    ]
    rows = table(output)
    assert rows["fpn"]["status"] == "failed"
    assert rows["fpn"]["iou"] == ""
    assert rows["linknet"]["status"] == "done"
    # Without the reference there is nothing to compare with.
    assert rows["linknet"]["p_value"] == ""
    assert "FPN: failed. made up by the test" in (output / "results.md").read_text()
    in_process.fail.clear()
    list(run_experiment(config, output, resume=True))
    assert table(output)["fpn"]["status"] == "done"
    assert len(in_process.done) == 4


def test_weights_that_cannot_be_had(
    tiny: Any, in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_KTNET_CACHE", str(tmp_path / "cache"))
    only = ("scse-transpose-*",)
    list(run_experiment(tiny("ablation", only=only), tmp_path / "out"))
    status = {name: row["status"] for name, row in table(tmp_path / "out").items() if "scse-tr" in name}
    assert status == {
        "scse-transpose-random": "done",
        "scse-transpose-imagenet": "not available",
        "scse-transpose-micronet": "not available",
        "scse-transpose-imagenet-micronet": "not available",
    }
    reason = table(tmp_path / "out")["scse-transpose-micronet"]["reason"]
    assert reason.startswith("The 'micronet' weights of 'mobilenet_v2' are not in ")
    assert len(in_process.done) == 2


def test_same_seed_same_numbers_and_scored_masks_decide_nothing(
    tiny: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    config = tiny(steps=3)

    def labels_and_result(where: str) -> tuple[list[bytes], Any]:
        images = load_images(config.data)
        entry = make_entries(config, 2)[-1]
        job = make_jobs(entry, config, images, make_folds(images, config), tmp_path / where)[0]
        result = run_job(job)
        return [p.read_bytes() for p in sorted(job.folder.glob("labels/*.tif"))], result

    first, second = labels_and_result("a"), labels_and_result("b")
    assert first[0] == second[0]
    assert [i.confusion for i in first[1].images] == [i.confusion for i in second[1].images]
    assert first[1].curve == second[1].curve
    # Turned upside down, the masks of the scored images change the scores and not the labels.
    for image in first[1].images:
        path = folders["masks"] / image.name
        Image.fromarray(np.asarray(Image.open(path))[::-1]).save(path)
    third = labels_and_result("c")
    assert third[0] == first[0]
    assert third[1].images != first[1].images


def test_an_interrupted_training_ends_as_one_that_was_not(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_micro_ktnet.training import trainer

    config = tiny(steps=4, validate_every=2)
    images = load_images(config.data)
    folds, entry = make_folds(images, config), make_entries(config, 2)[-1]
    whole = run_job(make_jobs(entry, config, images, folds, tmp_path / "whole")[0])
    job, real = make_jobs(entry, config, images, folds, tmp_path / "parts")[0], trainer.Trainer.step

    def interrupted(self: trainer.Trainer, step: int) -> tuple[float, int]:
        if step == 4:
            raise KeyboardInterrupt
        return real(self, step)

    monkeypatch.setattr(trainer.Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(job)
    monkeypatch.setattr(trainer.Trainer, "step", real)
    assert job.result() is None
    parts = run_job(job)
    assert [i.confusion for i in parts.images] == [i.confusion for i in whole.images]
    assert parts.curve == whole.curve
    assert job.result() == parts


@pytest.mark.parametrize(
    ("table_name", "changes", "message"),
    [
        ("architectures", {"only": ("nothing",)}, "No entry of the table architectures"),
        ("training-size", {"values": (9,)}, "2 training images in each fold"),
        ("architectures", {"init": "imagnet"}, "'imagnet' is neither one of"),
        ("architectures", {"encoder": "nonsense"}, "nonsense"),
        ("architectures", {"device": "nonsense"}, "Unknown device"),
    ],
)
def test_wrong_settings(table_name: str, changes: Any, message: str, tiny: Any, tmp_path: Path) -> None:
    with pytest.raises((InputError, ModelError), match=message):
        list(run_experiment(tiny(table_name, **changes), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_table_is_not_written_over_another(tiny: Any, in_process: Any, tmp_path: Path) -> None:
    list(run_experiment(tiny(only=("linknet",)), tmp_path / "out"))
    before = (tmp_path / "out" / "results.csv").read_bytes()
    with pytest.raises(InputError, match="holds the table architectures, not training-size"):
        list(run_experiment(tiny("training-size"), tmp_path / "out", resume=True))
    assert (tmp_path / "out" / "results.csv").read_bytes() == before


def test_an_output_that_is_a_file(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(InputError, match="Choose another output folder"):
        list(run_experiment(tiny(), tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_an_image_under_two_names_is_refused(tiny: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    for folder in folders.values():
        (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    with pytest.raises(DataError, match="same image"):
        list(run_experiment(tiny(), tmp_path / "out"))


def test_rows_that_lose_their_scores_are_named(tiny: Any, in_process: Any, tmp_path: Path) -> None:
    config, output = tiny(only=("unet",)), tmp_path / "out"
    assert not [r for r in run_experiment(config, output) if isinstance(r, Notice)]
    record = json.loads((output / "record.json").read_text())
    by_name = {entry["name"]: entry for entry in record["entries"]}
    assert by_name["unet"]["versions"] == record["versions"]
    assert by_name["fpn"]["versions"] == {}
    other = changed_config(config, steps=config.training.steps + 1, only=("fpn",))
    (notice,) = [r for r in run_experiment(other, output, resume=True) if isinstance(r, Notice)]
    assert "lose their scores: unet." in notice.text
    assert (table(output)["unet"]["status"], table(output)["fpn"]["status"]) == ("not run", "done")
    (notice,) = [r for r in run_experiment(config, output, resume=True) if isinstance(r, Notice)]
    assert "lose their scores: fpn." in notice.text
    assert table(output)["unet"]["status"] == "done"
    assert len(in_process.done) == 4


@pytest.mark.parametrize(
    ("visible", "slots", "devices"),
    [
        (None, (0, 1, 2, 3), ["0", "1", "0", "1"]),
        ("3,5", (0, 1), ["3", "5"]),
        ("GPU-a,GPU-b", (1,), ["GPU-b"]),
    ],
)
def test_workers_share_the_gpus_evenly(
    visible: str | None, slots: tuple[int, ...], devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    given = [_environment(slot, len(slots), 2, auto=True) for slot in slots]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in given] == devices
    assert {int(each["OMP_NUM_THREADS"]) for each in given} == {max(1, _cores() // len(slots))}
    # One that is asked for by name stays.
    assert _environment(0, 2, 2, auto=False).get("CUDA_VISIBLE_DEVICES") == visible
