from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.experiments import ExperimentConfig, experiment_config
from napari_micro_ktnet.experiments.config import changed_config, config_text, parse_experiment
from napari_micro_ktnet.experiments.entries import ENCODERS, make_entries
from napari_micro_ktnet.experiments.figures import Drawable, draw_figures
from napari_micro_ktnet.experiments.jobs import (
    LABELS_FOLDER,
    CurvePoint,
    ImageReference,
    Job,
    JobResult,
    JobSpec,
    ScoredImage,
)
from napari_micro_ktnet.experiments.processes import JobProcess
from napari_micro_ktnet.experiments.table import COLUMNS, image_names, make_rows
from napari_micro_ktnet.experiments.writing import to_csv, to_latex, to_markdown
from napari_micro_ktnet.training.config import TrainingConfig

DATA = {"images": "i", "masks": "m"}


def config(table: str = "architectures", **changes: Any) -> ExperimentConfig:
    return experiment_config(table, DATA, "quick", **changes)


def job(name: str, fold: int, images: list[str], folder: Path = Path("runs"), **training: Any) -> Job:
    spec = JobSpec(
        entry=name,
        fold=fold,
        training=TrainingConfig(**training),
        data=config().data,
        training_images=(ImageReference(name="t.png", sha256="0" * 64),),
        scored_images=tuple(ImageReference(name=n, sha256="1" * 64) for n in images),
    )
    return Job(spec, folder / name)


def result(job: Job, *counts: tuple[int, int, int]) -> JobResult:
    images = tuple(
        ScoredImage(name=ref.name, confusion=((90, fp), (fn, tp)), seconds=0.5)
        for ref, (tp, fp, fn) in zip(job.spec.scored_images, counts, strict=True)
    )
    curve = (CurvePoint(step=1, iou=0.2, f1=0.3), CurvePoint(step=2, iou=0.4, f1=0.5))
    return JobResult(
        key=job.spec.key,
        status="done",
        images=images,
        curve=curve,
        parameters=1_500_000,
        flops=2_000_000_000,
        memory_bytes=700_000_000,
        seconds_per_step=1.5,
    )


@pytest.fixture
def made_up(tmp_path: Path) -> tuple[Any, ...]:
    """Two folds of two images; U-Net is worse on each, FPN failed, PSPNet has no weights."""
    settings = config()
    entries = make_entries(settings, 2)
    jobs = {
        e.name: [job(e.name, f, [f"{f}a.png", f"{f}b.png"], tmp_path, architecture=e.name) for f in (1, 0)]
        for e in entries
    }
    outcome = {}
    for found, second in ((jobs["micro-ktnet"], 0), (jobs["unet"], 2)):
        for each in found:
            outcome[each.spec.key] = result(each, (8, 1, 1 + second), (4, 0, 1 + second))
    for name, status in (("fpn", "failed"), ("pspnet", "not available")):
        key = jobs[name][0].spec.key
        outcome[key] = JobResult(key=key, status=status, reason="50 % of the_reason")
    return settings, entries, jobs, outcome


def test_rows_by_hand(made_up: tuple[Any, ...]) -> None:
    rows = {row["entry"]: row for row in make_rows(*made_up)}
    best, unet = rows["micro-ktnet"], rows["unet"]
    assert best["iou"] == pytest.approx(24 / 30)
    assert best["iou_mean"] == pytest.approx((0.8 + 0.8) / 2)
    assert unet["precision"] == pytest.approx(24 / 26)
    assert unet["recall"] == pytest.approx(24 / 36)
    assert unet["difference"] == pytest.approx((8 / 12 + 4 / 7) / 2 - 0.8)
    # Worse on each of four images: 2 of 16 choices of signs; it is the only one that is tested.
    assert unet["p_value"] == unet["p_holm"] == pytest.approx(2 / 16)
    assert best["p_value"] is None
    assert (best["images"], best["folds"], best["seeds"]) == (4, 2, 1)
    assert (best["parameters"], best["memory_mb"], best["seconds_per_image"]) == (1_500_000, 700, 0.5)
    assert {n: rows[n]["status"] for n in ("fpn", "pspnet", "linknet")} == {
        "fpn": "failed",
        "pspnet": "not available",
        "linknet": "not run",
    }
    assert rows["fpn"]["iou"] is None
    assert image_names(made_up[2]["unet"]) == ["0a.png", "0b.png", "1a.png", "1b.png"]


def test_csv_markdown_and_latex(made_up: tuple[Any, ...]) -> None:
    rows = make_rows(*made_up)
    labels = {e.name: e.label for e in made_up[1]}
    read = list(csv.DictReader(StringIO(to_csv(rows))))
    assert list(read[0]) == list(COLUMNS)
    assert [r["entry"] for r in read] == [e.name for e in made_up[1]]
    assert float(read[-1]["iou"]) == pytest.approx(0.8)
    assert read[0]["reason"] == "50 % of the_reason"
    markdown = to_markdown(rows, labels, ["How it was done."])
    assert "| **Micro-KTNet** | done | 0.800 (" in markdown
    assert "- FPN: failed. 50 % of the_reason" in markdown
    assert markdown.rstrip().endswith("How it was done.")
    latex = to_latex(rows, labels)
    assert r"FPN & \multicolumn{12}{l}{failed} \\" in latex
    assert r"\textbf{Micro-KTNet} & 0.800 (" in latex
    assert latex.count(r"\\") == 10
    assert r"no scSE, nearest, ImageNet$\rightarrow$MicroNet\_1" in to_latex(
        rows, labels | {"unet": "no scSE, nearest, ImageNet→MicroNet_1"}
    )


def test_columns_of_seeds_and_classes(made_up: tuple[Any, ...]) -> None:
    rows = make_rows(*made_up)
    for row in rows:
        row["seeds"] = 2
    rows[-1].update(
        {"iou_seed_lowest": 0.61, "iou_seed_highest": 0.8, "iou_class_a": 0.5, "iou_class_b": 0.25}
    )
    labels = {e.name: e.label for e in made_up[1]}
    lines = [line.split(" | ") for line in to_markdown(rows, labels, []).splitlines()]
    assert lines[0][2:6] == ["IoU", "IoU of the seeds", "IoU a", "IoU b"]
    best = next(line for line in lines if line[0] == "| **Micro-KTNet**")
    assert best[3:6] == ["0.610 to 0.800", "0.500", "0.250"]
    assert r"& 0.610 to 0.800 & 0.500 & 0.250 &" in to_latex(rows, labels)


def test_figures(made_up: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    assert matplotlib
    from napari_micro_ktnet.experiments import figures

    settings, entries, jobs, outcome = made_up
    done = [
        Drawable(e, row, jobs[e.name])
        for e, row in zip(entries, make_rows(*made_up), strict=True)
        if row["status"] == "done"
    ]
    monkeypatch.setattr(figures, "draw_overlays", lambda *_: figures.curves(done, outcome))
    images: Any = type("Images", (), {"pairs": (), "test": ()})
    # Deleted label files cost the panels, not the other figures.
    assert [p.name for p in draw_figures(tmp_path, settings, done, outcome, images)] == [
        "curves.png",
        "bars.png",
    ]
    for each in (*jobs["micro-ktnet"], *jobs["unet"]):
        (each.folder / LABELS_FOLDER).mkdir(parents=True, exist_ok=True)
    written = draw_figures(tmp_path, settings, done, outcome, images)
    assert [p.name for p in written] == ["curves.png", "overlays.png", "bars.png"]
    assert all(p.stat().st_size > 5000 for p in written)
    assert draw_figures(tmp_path, settings, [], outcome, images) == ()
    axes = figures.curves(done, outcome).axes[0]
    assert [line.get_label() for line in axes.lines] == ["U-Net", "Micro-KTNet"]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.3], [2, 0.5]]


@pytest.mark.parametrize(
    ("table", "count", "reference"),
    [
        ("architectures", 9, "micro-ktnet"),
        ("ablation", 16, "scse-transpose-imagenet"),
        ("encoders", 13 * 4, "efficientnet_lite0-imagenet"),
        ("batch-size", 7, "batch-8"),
        ("training-size", 4, "images-6"),
    ],
)
def test_entries(table: str, count: int, reference: str) -> None:
    settings = config(table)
    entries = make_entries(settings, 6)
    assert len(entries) == len({e.name for e in entries}) == len({e.label for e in entries}) == count
    assert [e.name for e in entries if e.reference] == [reference]
    # The reference is the experiment's own Micro-KTNet.
    own = next(e for e in entries if e.reference).training(settings, 3)
    assert own == settings.training.model_copy(update={"seed": 3})


def test_an_entry_changes_what_its_name_says_and_nothing_else() -> None:
    settings = config("ablation")
    base = settings.training.model_dump()
    for entry in make_entries(settings, 6):
        changed = {k for k, v in entry.training(settings, 0).model_dump().items() if v != base[k]}
        assert changed <= {"scse", "upsampling", "init"}
    entry = next(e for e in make_entries(settings, 6) if e.name == "plain-nearest-micronet")
    found = entry.training(settings, 0)
    assert (found.scse, found.upsampling, found.init) == (False, "nearest", "micronet")


def test_a_file_as_start_is_a_row_of_its_own(tmp_path: Path) -> None:
    weights = tmp_path / "encoder.safetensors"
    weights.write_bytes(b"weights")
    settings = config("encoders", encoder="resnet50", init=str(weights))
    names = [e.name for e in make_entries(settings, 6)]
    assert [n for n in names if n.endswith("-file")] == ["resnet50-file"]
    assert len(names) == len(ENCODERS) * 4 + 1


def test_batch_sizes_see_as_many_crops() -> None:
    settings = config("batch-size", steps=100)
    for entry in make_entries(settings, 6):
        training = entry.training(settings, 0)
        assert training.steps * training.batch_size == pytest.approx(800, rel=0.05)


def test_training_sizes() -> None:
    assert [e.images for e in make_entries(config("training-size", values=(3, 5)), 6)] == [3, 5, 6]


def test_configuration_files(tmp_path: Path) -> None:
    settings = config(
        "training-size", seeds=(1, 2), values=(1, 2), steps=30, only=("images-*",), init="random"
    )
    settings = changed_config(settings, data={"images": tmp_path / "i", "masks": tmp_path / "m"})
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "experiment.toml").write_text(config_text(settings, folder))
    assert "../i" in config_text(settings, folder)
    assert parse_experiment(folder / "experiment.toml") == settings
    assert changed_config(settings, steps=60).training.validate_every == 12
    (folder / "wrong.toml").write_text("table = 'nothing'")
    with pytest.raises(InputError, match=r"wrong\.toml: The setting table cannot be used"):
        parse_experiment(folder / "wrong.toml")
    with pytest.raises(InputError, match="cannot be read as an experiment"):
        parse_experiment(folder / "none.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": 3}, "scored images may not decide"),
        ({"values": (1, 2)}, "not for architectures"),
        ({"seeds": (1, 1)}, "numbers must differ"),
        ({"folds": 1}, "folds"),
        ({"stepps": 1}, "There is no setting training.stepps"),
        ({"data": {"images": "i", "masks": "m", "test_images": "t"}}, "both test images and test masks"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], message: str) -> None:
    data = changes.pop("data", DATA)
    with pytest.raises(InputError, match=message):
        experiment_config("architectures", data, **changes)


def test_the_key_is_of_all_that_decides_the_numbers() -> None:
    base = job("a", 0, ["x.png"])
    assert base.spec.key == job("b", 0, ["x.png"], device="cpu").spec.key
    others = (job("a", 0, ["y.png"]), job("a", 0, ["x.png"], seed=1), job("a", 0, ["x.png"], steps=3))
    assert len({base.spec.key, *(o.spec.key for o in others)}) == 4


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    broken = Job(job("a", 0, ["x.png"]).spec, tmp_path)
    # There is no job.json.
    process = JobProcess(broken, 0, 1, 1)
    while process.poll():
        pass
    assert process.failure().startswith("FileNotFoundError: ")
