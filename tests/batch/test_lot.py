from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blobs import blobs
from helpers import pixel_model
from napari_micro_ktnet.batch import job as job_module
from napari_micro_ktnet.batch.job import BatchJob, make_job
from napari_micro_ktnet.batch.lot import BatchRecord, BatchResult, iter_batch, plan_batch
from napari_micro_ktnet.batch.measuring import FileOutcome
from napari_micro_ktnet.batch.parallel import Where
from napari_micro_ktnet.batch.segmentation import FileProgress
from napari_micro_ktnet.batch.state import read_state
from napari_micro_ktnet.batch.writing import OutputOptions
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.errors import InputError, ModelError, OutputError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.measurement.agglomerates import ObjectOptions
from napari_micro_ktnet.measurement.fields import MeasureOptions
from napari_micro_ktnet.measurement.measuring import measure
from napari_micro_ktnet.measurement.pooled import objects_csv
from napari_micro_ktnet.sem import read_sem, write_image, write_labels

SIZE = (50.0, 50.0)


@pytest.fixture(autouse=True)
def _pixel_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segment by grey value, so that the labels are known; the model's file is the starter's."""
    starter = file_sha256(job_module.model_info("starter").path)

    def load(_: str) -> Any:
        model = pixel_model()
        return type(model)(model.name, model.network, model.spec, starter)

    monkeypatch.setattr(job_module, "_load", load)


def images(folder: Path, count: int = 3, size: tuple[float, float] | None = SIZE) -> Path:
    for seed in range(count):
        write_image(folder / f"f{seed}.tif", blobs(seed=seed)[0], size)
    return folder


def job(output: Path, **more: Any) -> BatchJob:
    return make_job(output, device="cpu", precision="float32", **more)


def run(inputs: Path, plan: BatchJob, **more: Any) -> tuple[BatchResult, list[FileOutcome]]:
    steps = list(iter_batch(plan_batch([inputs]), plan, **more))
    assert isinstance(steps[-1], BatchResult)
    return steps[-1], [s for s in steps if isinstance(s, FileOutcome)]


def test_what_is_written(tmp_path: Path) -> None:
    folder = images(tmp_path / "in")
    result, outcomes = run(folder, job(tmp_path / "out"), lot="L7", operator="A. Miller")
    assert [(o.file.path.name, o.error, o.reused) for o in outcomes] == [
        (f"f{n}.tif", "", False) for n in range(3)
    ]
    assert result.errors == ()
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    per_file = [f"f{n}{ending}" for n in range(3) for ending in (".json", "_labels.tif")]
    assert names == sorted([*per_file, "fields.csv", "objects.csv", "measurement.json", "measured"])

    # The same as measuring the label files with their images.
    labels = [tmp_path / "out" / f"f{n}_labels.tif" for n in range(3)]
    expected = measure(labels, image=[folder / f"f{n}.tif" for n in range(3)])
    assert result.measurement is not None
    assert result.measurement.record == expected.record
    with (tmp_path / "out" / "objects.csv").open() as file:
        found = list(csv.DictReader(file))
    for row in found:
        row["file"] = str(tmp_path / "out" / f"{row['field']}_labels.tif")
    assert found == list(csv.DictReader(objects_csv(expected.fields).splitlines()))

    content = json.loads((tmp_path / "out" / "measurement.json").read_text())
    assert {k: content[k] for k in ("fields", "pooled", "versions")} == {
        k: expected.to_dict()[k] for k in ("fields", "pooled", "versions")
    }
    record = BatchRecord.model_validate(content)
    assert (record.lot, record.operator) == ("L7", "A. Miller")
    assert [f.sha256 for f in record.files] == [file_sha256(folder / f"f{n}.tif") for n in range(3)]
    assert [f.fields for f in record.files] == [(0,), (1,), (2,)]
    assert record.segmentations[1].input_sha256 == record.files[1].sha256
    assert record.acquisition[1]["pixel_size_nm"] == pytest.approx(SIZE)
    with (tmp_path / "out" / "fields.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["count"]) for r in rows] == [f.count for f in expected.record.fields]
    assert float(rows[0]["number_d50_um"]) == expected.record.fields[0].ecd_um.number.d50


def test_state_keeps_tables_exactly(tmp_path: Path) -> None:
    run(images(tmp_path / "in", 1), job(tmp_path / "out"))
    state = read_state(tmp_path / "out" / "measured" / "f0.json")
    assert state is not None
    expected = measure(tmp_path / "out" / "f0_labels.tif", image=tmp_path / "in" / "f0.tif").fields[0].table
    from napari_micro_ktnet.batch.state import measurement_of

    found = measurement_of(state.fields[0]).table
    assert list(found.columns) == list(expected.columns)
    for name, column in expected.columns.items():
        assert found[name].dtype.kind == column.dtype.kind
        np.testing.assert_array_equal(found[name], column)


def test_stopped_half_way(tmp_path: Path) -> None:
    folder, plan = images(tmp_path / "in", 4), job(tmp_path / "out")
    steps = iter_batch(plan_batch([folder]), plan)
    finished = 0
    for step in steps:
        finished += isinstance(step, FileOutcome)
        if finished == 2:
            break
    steps.close()
    assert not (tmp_path / "out" / "measurement.json").exists()
    second, outcomes = run(folder, plan)
    assert [o.reused for o in outcomes] == [True, True, False, False]
    fresh, _ = run(folder, job(tmp_path / "other"))
    assert (tmp_path / "out" / "objects.csv").read_bytes() == (
        tmp_path / "other" / "objects.csv"
    ).read_bytes()
    assert second.measurement.pooled == fresh.measurement.pooled


def test_what_is_taken_over(tmp_path: Path) -> None:
    folder, output = images(tmp_path / "in"), tmp_path / "out"
    run(folder, job(output))

    def again(plan: BatchJob) -> tuple[list[bool], int]:
        steps = list(iter_batch(plan_batch([folder]), plan))
        tiles = sum(isinstance(s, FileProgress) for s in steps)
        return [s.reused for s in steps if isinstance(s, FileOutcome)], tiles

    assert again(job(output)) == ([True] * 3, 0)
    # Another way to measure needs no new segmentation.
    other = MeasureOptions(ObjectOptions(border="exclude"))
    assert again(job(output, measure=other)) == ([False] * 3, 0)
    assert again(job(output, measure=other, pixel_size=10.0)) == ([False] * 3, 0)
    assert again(job(output, outputs=OutputOptions(0.6))) == ([False] * 3, 3)
    assert again(job(output, outputs=OutputOptions(0.6))) == ([True] * 3, 0)
    write_image(folder / "f1.tif", blobs(seed=9)[0], SIZE)
    (output / "f2_labels.tif").unlink()
    (output / "measured" / "f0.json").write_text("{ damaged")
    assert again(job(output, outputs=OutputOptions(0.6))) == ([False] * 3, 3)


def test_corrected_labels_are_not_overwritten(tmp_path: Path) -> None:
    folder, output = images(tmp_path / "in"), tmp_path / "out"
    run(folder, job(output))
    mine = write_labels(output / "f1_labels.tif", np.ones((96, 128), np.uint8), SIZE)
    result, _ = run(folder, job(output))
    assert len(result.errors) == 1
    assert "f1_labels.tif was changed after" in result.errors[0]
    assert read_sem(mine).pixels.all()
    assert [f.name for f in result.record.fields] == ["f0", "f2"]


def test_errors_are_listed_and_the_rest_finished(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", 2)
    (folder / "a.tif").write_bytes(b"not an image")
    (folder / "z.tif").write_bytes((folder / "f0.tif").read_bytes()[:500])
    result, outcomes = run(folder, job(tmp_path / "out"))
    assert [bool(o.error) for o in outcomes] == [True, False, False, True]
    assert [Path(f.input).name for f in result.record.files if f.error] == ["a.tif", "z.tif"]
    warnings = result.measurement.pooled.warnings
    assert warnings[0].startswith("2 of 4 files could not be measured")
    assert "a.tif" in warnings[1]
    assert result.measurement.pooled.fields == 2


def test_nothing_can_be_measured(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"not an image")
    result, _ = run(tmp_path, job(tmp_path / "out"))
    assert (result.measurement, result.record, len(result.errors)) == (None, None, 1)
    assert not (tmp_path / "out" / "measurement.json").exists()


def test_pages_and_slices_are_fields(tmp_path: Path) -> None:
    stack = np.stack([blobs(seed=seed)[0] for seed in range(3)])
    write_image(tmp_path / "in" / "stack.tif", stack, SIZE)
    result, outcomes = run(tmp_path / "in", job(tmp_path / "out"))
    assert len(outcomes) == 1
    assert [f.name for f in result.record.fields] == ["stack_z0000", "stack_z0001", "stack_z0002"]
    assert result.record.files[0].fields == (0, 1, 2)
    labels = tmp_path / "out" / "stack_z0001_labels.tif"
    expected = measure(labels, image=stack[1]).fields[0].table["mean_grey"]
    state = read_state(tmp_path / "out" / "measured" / "stack.json")
    assert state.fields[1].objects["mean_grey"] == expected.tolist()


def test_magnifications_and_missing_pixel_sizes(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", 2)
    write_image(folder / "g.tif", blobs(seed=5)[0], (200.0, 200.0))
    result, _ = run(folder, job(tmp_path / "out"))
    assert [g.fields for g in result.record.groups] == [(0, 1), (2,)]
    assert any("different magnification" in w for w in result.measurement.pooled.warnings)
    write_image(folder / "g.tif", blobs(seed=5)[0], (50.0, 60.0))
    write_image(folder / "h.tif", np.full((96, 128), 9, np.uint8))
    result, _ = run(folder, job(tmp_path / "out", pixel_size=50.0))
    assert [f.pixel_size_nm for f in result.record.fields] == [
        pytest.approx(s) for s in (SIZE, SIZE, (50.0, 60.0), SIZE)
    ]
    assert any("Pixels are 50 nm high and 60 nm wide" in w for w in result.record.fields[2].warnings)
    result, _ = run(folder, job(tmp_path / "out"))
    assert result.measurement.pooled.ecd_um is None


def test_an_image_cannot_take_the_name_of_the_record(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "measurement.tif", blobs()[0], SIZE)
    result, _ = run(tmp_path / "in", job(tmp_path / "out"))
    assert result.record.fields[0].name == "measurement_2"
    assert BatchRecord.model_validate_json((tmp_path / "out" / "measurement.json").read_bytes())


def test_another_model_on_a_worker_is_refused(tmp_path: Path) -> None:
    plan = job(tmp_path / "out")
    with pytest.raises(ModelError, match="is another one"):
        BatchJob(plan.output, plan.model, model_sha256="0" * 64).load_model()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"outputs": OutputOptions(2.0)}, "threshold"),
        ({"tile": -5}, "tile"),
        ({"model": "nonesuch"}, "No model named"),
    ],
)
def test_wrong_options_are_known_before_any_work(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, ModelError), match=message):
        make_job(tmp_path, **wrong)
    with pytest.raises(InputError, match="at least 1"):
        Where(0)


GOOD, BROKEN, TYPO = (
    f"d_star_um = 1\n[limits]\n{line}\n"
    for line in ("largest_ecd_um = 90", "largest_ecd_um = 0.1", "largest_ecd = 3")
)


@pytest.mark.parametrize(("limits", "status"), [(GOOD, 0), (BROKEN, 3), (TYPO, 2)])
def test_command(limits: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = images(tmp_path / "in"), tmp_path / "out"
    (tmp_path / "limits.toml").write_text(limits)
    arguments = ["batch", str(folder), "--output", str(output), "--limits", str(tmp_path / "limits.toml")]
    arguments += ["--report", "--lot", "L7", "--device", "cpu", "--precision", "float32"]
    assert main(arguments) == status
    printed = capsys.readouterr()
    if status == 2:
        assert "line 3" in printed.err
        assert not output.exists()
        return
    page = (output / "report.html").read_text()
    assert "Lot <b>L7</b>" in page
    assert file_sha256(folder / "f1.tif") in page
    assert page.count("data:image/jpeg") == 3 + 10
    assert str(output / "report.html") in printed.out
    shutil.copy(output / "measurement.json", tmp_path / "old.json")
    assert main([*arguments, "--earlier", str(tmp_path / "old.json")]) == status
    assert "3 of 3 files were finished by an earlier run" in capsys.readouterr().out
    assert "<h2>Trend</h2>" in (output / "report.html").read_text()


def test_command_with_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = images(tmp_path / "in", 1)
    (folder / "bad.tif").write_bytes(b"x")
    arguments = ["batch", str(folder), "--output", str(tmp_path / "out"), "--report", "--device", "cpu"]
    assert main(arguments) == 1
    assert "1 of 2 files failed" in capsys.readouterr().err
    assert "bad.tif" in (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "empty").mkdir()
    assert main(["batch", str(tmp_path / "empty"), "--output", str(tmp_path / "o")]) == 2
    assert main([*arguments, "--earlier", str(folder / "bad.tif")]) == 2


def test_pages_do_not_get_the_names_of_other_files(tmp_path: Path) -> None:
    import tifffile

    folder = tmp_path / "in"
    folder.mkdir()
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for seed in (0, 1):
            # Pages of one shape would be the slices of a stack.
            file.write(blobs(seed=seed)[0][seed:], photometric="minisblack")
    write_image(folder / "a_p0.tif", blobs(seed=2)[0], SIZE)
    first, _ = run(folder, job(tmp_path / "out"))
    assert sorted(f.name for f in first.record.fields) == ["a_p0", "a_p0_2", "a_p1"]
    again, outcomes = run(folder, job(tmp_path / "out"))
    assert all(o.reused for o in outcomes)
    assert again.record.pooled == first.record.pooled


def test_a_file_that_was_moved(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", 1)
    before, _ = run(folder, job(tmp_path / "out"))
    grey = read_state(tmp_path / "out" / "measured" / "f0.json").fields[0].objects["mean_grey"]
    folder.rename(tmp_path / "moved")
    # What now lies where the file was is another image.
    write_image(tmp_path / "in" / "f0.tif", np.full_like(blobs(seed=0)[0], 7), SIZE)
    after, _ = run(tmp_path / "moved", job(tmp_path / "out"))
    assert read_state(tmp_path / "out" / "measured" / "f0.json").fields[0].objects["mean_grey"] == grey
    assert after.record.pooled == before.record.pooled
    assert after.record.segmentations[0].input == str(tmp_path / "moved" / "f0.tif")
    kept = json.loads((tmp_path / "out" / "f0.json").read_text())
    assert kept["input"] == str(tmp_path / "moved" / "f0.tif")


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Choose another output folder"):
        next(iter_batch(plan_batch([folder]), job(tmp_path / "file" / "out")))


@pytest.mark.parametrize("name", ["objects.csv", "fields.csv", "measurement.json", "report.html"])
def test_tables_from_elsewhere_are_not_replaced(name: str, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "in", 1), tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name} is there already.*choose another output folder"):
        run(folder, job(out))
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "mine"


def test_a_report_is_never_older_than_the_figures(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", 2)
    arguments = ["batch", str(folder), "--output", str(tmp_path / "out")]
    main([*arguments, "--report"])
    before = (tmp_path / "out" / "report.html").read_text()
    main([*arguments, "--min-size", "9"])
    assert (tmp_path / "out" / "report.html").read_text() != before
