from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import blobs, small_model_file
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.sem import read_sem, write_image, write_labels


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(small_model_file(tmp_path / "model.safetensors"))


def test_segment_files_and_folders(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "in" / "a.tif", blobs()[0], (3.0, 3.0))
    write_image(tmp_path / "in" / "b.tif", blobs(seed=1)[0])
    out = tmp_path / "out"
    arguments = ["segment", str(tmp_path / "in"), "--output", str(out), "--model", model, "--tile", "64"]
    assert main([*arguments, "--orientations", "2"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a_labels.tif", "b.json", "b_labels.tif"]
    assert read_sem(out / "a_labels.tif").pixel_size == pytest.approx((3.0, 3.0))
    assert json.loads((out / "a.json").read_text())["parameters"]["orientations"] == 2
    assert "of the analysed area" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["segment", "batch"])
def test_subfolders_on_demand(
    tmp_path: Path, model: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "in" / "lot-1" / "a.tif", blobs()[0])
    write_image(tmp_path / "in" / "lot-2" / "b.tif", blobs(seed=1)[0])
    out = tmp_path / "out"
    arguments = [command, str(tmp_path / "in"), "--output", str(out), "--model", model, "--tile", "64"]
    assert main(arguments) == 2
    assert "--recursive" in capsys.readouterr().err
    assert main([*arguments, "--recursive"]) == 0
    assert sorted(p.name for p in out.glob("*_labels.tif")) == ["a_labels.tif", "b_labels.tif"]


def test_a_name_that_no_file_can_have_stops_no_others(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_image(tmp_path / "a.tif", blobs()[0])
    inputs = [str(tmp_path / ("x" * 300)), str(good)]
    assert main(["segment", *inputs, "--output", str(tmp_path / "out"), "--model", model]) == 1
    assert "1 of 2 files failed" in capsys.readouterr().err
    assert (tmp_path / "out" / "a_labels.tif").is_file()
    assert main(["batch", *inputs, "--output", str(tmp_path / "lot"), "--model", model]) == 1
    assert (tmp_path / "lot" / "a_labels.tif").is_file()
    assert main(["info", inputs[0]]) == 1
    assert "File name too long" in capsys.readouterr().out


def test_a_file_that_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", "/locked/models")

    monkeypatch.setattr("napari_micro_ktnet.model.registry.list_models", refused)
    assert main(["models", "list"]) == 1
    assert capsys.readouterr().err == "micro-ktnet: /locked/models: Permission denied.\n"
    with pytest.raises(PermissionError):
        main(["models", "list", "--debug"])


def test_some_failed(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_image(tmp_path / "a.tif", blobs()[0])
    bad = tmp_path / "text.tif"
    bad.write_text("hello")
    arguments = ["segment", str(bad), str(good), "--output", str(tmp_path / "out"), "--model", model]
    assert main(arguments) == 1
    errors = capsys.readouterr().err
    assert "1 of 2 files failed" in errors
    assert "text.tif" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "out" / "a_labels.tif").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "a.tif", "--output", "o", "--model", "nothing-like-it"], "No model named"),
        (["segment", "a.tif", "--output", "o", "--device", "cuda:99"], "not on this machine"),
        (["segment", "a.tif", "--output", "o", "--tile", "5"], "at least 32"),
        (["segment", "a.tif", "--output", "o", "--overlap", "1"], "overlap"),
        (["models", "show", "nowhere.safetensors"], "No model file"),
        (["models", "show", "x" * 300], "No model named"),
        (["models", "show", "x" * 300 + ".safetensors"], "File name too long"),
        (["train", "--images", "x" * 300, "--masks", "none", "--output", "o"], "File name too long"),
        (["models", "import", ".", "--encoder", "resnet50", "--variant", "micronet"], "it is no file"),
        (["models", "remove", "starter"], "cannot be removed"),
        (["models", "add", "a.safetensors", "--name", "x"], "No model file"),
        (["train", "--images", "none", "--masks", "none", "--output", "o"], "No such file or directory"),
        (["train", "--images", __file__, "--masks", "none", "--output", "o"], "Not a directory"),
        (["train", "--images", "a", "--masks", "b", "--output", __file__], "Nothing can be written"),
        (["train", "--images", "a", "--masks", "b", "--output", "o", "--name", "Starter"], "not 'starter'"),
        (["train", "--images", "a", "--masks", "b", "--output", "o", "--json", "x"], "--estimate"),
        (["train", "--images", "a", "--masks", "b", "--output", "o", "--encoder", "nosuch"], "no encoder"),
        (["demo", "--output", __file__], "Nothing can be written"),
        (["demo", "--output", "o", "--device", "foo"], "Unknown device"),
        (["models", "fetch", "resnet9000"], "resnet9000"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["segment"],
        ["info", "--json"],
        ["segment", "a", "--output", "o", "--threshold", "2"],
        ["segment", "a", "--output", "o", "--threshold", "half"],
        ["segment", "a", "--output", "o", "--orientations", "3"],
        ["train", "--mask-colors", "x=1,2"],
    ],
)
def test_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_debug_shows_the_traceback() -> None:
    from napari_micro_ktnet.errors import ModelError

    with pytest.raises(ModelError):
        main(["models", "show", "nowhere.safetensors", "--debug"])


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_image(tmp_path / "a.tif", blobs()[0], (12.0, 15.0))
    assert main(["info", str(path), str(tmp_path / "none.tif"), "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first["pixel_size_nm"] == pytest.approx([12.0, 15.0])
    assert (first["width"], first["height"], first["data_bar_rows"]) == (128, 96, 0)
    assert first["accelerating_voltage_v"] is None
    assert "none.tif" in second["error"]
    assert main(["info", str(path)]) == 0
    assert "15 x 12 nm (x, y)" in capsys.readouterr().out


INFO_KEYS = {
    *("file", "vendor", "pixel_size_nm", "pixel_size_source", "data_bar_rows", "width", "height"),
    *("accelerating_voltage_v", "working_distance_m", "magnification"),
}


def info_json(capfd: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit status, and all of standard output read as strict JSON."""
    status = main(["info", *map(str, paths), "--json"])
    return status, json.loads(capfd.readouterr().out, parse_constant=pytest.fail)


def test_info_json_has_every_image_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    two = tmp_path / "two.tif"
    tifffile.imwrite(two, np.zeros((30, 40), np.uint8))
    tifffile.imwrite(two, np.zeros((50, 60), np.uint16), append=True)
    status, found = info_json(capfd, two, write_image(tmp_path / "one.tif", blobs()[0], (12.0, 15.0)))
    assert status == 0
    assert [d["file"] for d in found] == [str(two), str(two), str(tmp_path / "one.tif")]
    assert [(d["height"], d["width"]) for d in found] == [(30, 40), (50, 60), (96, 128)]
    assert [d["pixel_size_nm"] for d in found] == [None, None, [12.0, 15.0]]
    assert [d["pixel_size_source"] for d in found] == ["none", "none", "metadata"]
    assert all(set(d) >= INFO_KEYS for d in found)


@pytest.mark.parametrize("value", ["NaN", "INF", "-1", "0", "1e999"])
def test_info_json_has_no_numbers_that_json_lacks(
    value: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    scale = " ".join(f'PhysicalSize{axis}="{value}" PhysicalSize{axis}Unit="nm"' for axis in "XY")
    form = 'DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="30" SizeC="1" SizeZ="1" SizeT="1"'
    xml = f"<OME><Image><Pixels {form} {scale}><TiffData/></Pixels></Image></OME>"
    tifffile.imwrite(path, np.zeros((30, 40), np.uint8), description=xml, metadata=None)
    status, (found,) = info_json(capfd, path)
    assert (status, found["vendor"], found["pixel_size_nm"]) == (0, "OME", None)


def test_info_json_of_what_cannot_be_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = write_image(tmp_path / "good.tif", blobs()[0])
    cut = tmp_path / "cut.tif"
    cut.write_bytes(good.read_bytes()[:400])
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "empty.tif").touch()
    bad = [cut, tmp_path / "text.tif", tmp_path / "empty.tif", tmp_path / "none.tif", tmp_path]
    status, found = info_json(capfd, *bad, good)
    assert status == 1
    assert [set(d) for d in found[:-1]] == [{"file", "error"}] * len(bad)
    assert [d["file"] for d in found] == [str(path) for path in (*bad, good)]
    assert set(found[-1]) >= INFO_KEYS


def test_info_json_of_real_files(shared_data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = sorted((shared_data / "sem_files").rglob("*.tif"))
    status, found = info_json(capfd, *files)
    assert status == 1
    assert {d["file"] for d in found} == {str(path) for path in files}
    assert {Path(d["file"]).parent.name for d in found if "error" in d} == {"broken"}
    assert all(set(d) >= INFO_KEYS for d in found if "error" not in d)


def test_models(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MICRO_KTNET_MODELS", str(tmp_path / "models"))
    assert main(["models", "add", model, "--name", "lab"]) == 0
    assert main(["models", "list"]) == 0
    assert "lab " in capsys.readouterr().out
    assert main(["models", "show", "lab"]) == 0
    assert json.loads(capsys.readouterr().out)["spec"]["encoder"] == "resnet18"
    assert main(["models", "remove", "lab"]) == 0
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(Path(model).read_bytes()[:-1000])
    assert main(["models", "add", str(damaged), "--name", "lab"]) == 2
    assert not list((tmp_path / "models").iterdir())


def test_train_then_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        grey, mask = blobs(seed=i)
        for folder, pixels in (("images", grey), ("masks", mask * 255)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i}.png")
    run = tmp_path / "run"
    arguments = [
        *("train", "--images", str(tmp_path / "images"), "--masks", str(tmp_path / "masks")),
        *("--output", str(run), "--encoder", "resnet18", "--init", "random"),
        *("--steps", "30", "--crop", "64", "--batch-size", "4", "--seed", "1"),
    ]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Validation: " in out
    assert "IoU (pooled over images) agglomerate" in out
    target = tmp_path / "images" / "0.png"
    model_file = str(run / "model.safetensors")
    assert main(["segment", str(target), "--output", str(tmp_path / "out"), "--model", model_file]) == 0
    labels = read_sem(tmp_path / "out" / "0_labels.tif").pixels
    truth = blobs(seed=0)[1]
    assert (labels & truth).sum() / (labels | truth).sum() > 0.6


def test_demo_scores_the_starter_against_exact_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--output", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "masterbatch.json").read_text())
    assert f"IoU {record['scores']['iou']:.3f}" in capsys.readouterr().out
    labels = read_sem(tmp_path / "masterbatch_labels.tif").pixels
    truth = read_sem(tmp_path / "masterbatch_truth.tif").pixels
    rows = slice(*record["analysed_region"]["rows"])
    overlap = np.logical_and(labels, truth)[rows].sum() / np.logical_or(labels, truth)[rows].sum()
    assert record["scores"]["iou"] == pytest.approx(overlap)
    assert overlap > 0.8
    assert (tmp_path / "masterbatch_overlay.png").is_file()
    # What an earlier version drew otherwise is known by the record; what was edited is the user's.
    other = np.zeros_like(truth)
    write_labels(tmp_path / "masterbatch_truth.tif", other)
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert "masterbatch_truth.tif was not written by the demo" in capsys.readouterr().err
    record["demo_files"]["masterbatch_truth.tif"] = file_sha256(tmp_path / "masterbatch_truth.tif")
    (tmp_path / "masterbatch.json").write_text(json.dumps(record))
    assert main(["demo", "--output", str(tmp_path)]) == 0
    np.testing.assert_array_equal(read_sem(tmp_path / "masterbatch_truth.tif").pixels, truth)
    # Of a demo that was stopped before its end the image is known by its pixels.
    for name in ("masterbatch.json", "masterbatch_labels.tif", "masterbatch_overlay.png"):
        (tmp_path / name).unlink()
    assert main(["demo", "--output", str(tmp_path)]) == 0
    # Again, into the same folder, on a machine that has no screen.
    monkeypatch.setenv("QT_QPA_PLATFORM", "none such")
    assert main(["demo", "--output", str(tmp_path), "--viewer"]) == 2
    assert "window cannot be opened" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["masterbatch.tif", "masterbatch_truth.tif", "masterbatch_overlay.png"])
def test_the_demo_replaces_no_file_of_other_origin(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    (tmp_path / "masterbatch.json").write_text('{"files": {"masterbatch_labels.tif": "0"}}')
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert f"{name} was not written by the demo" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_a_full_disk_while_printing_is_said_in_one_line(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", blobs()[0])
    command = [sys.executable, "-m", "napari_micro_ktnet", "info", str(path), "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "micro-ktnet: the disk is full: not everything was written or printed.\n"


def test_stopped_while_loading_shows_no_traceback() -> None:
    code = """
import sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from napari_micro_ktnet.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "micro-ktnet: stopped before anything was done.\n"


def test_help_and_models_need_no_torch() -> None:
    code = (
        "import sys; from napari_micro_ktnet.cli import main, build_parser; build_parser(); "
        "main(['models', 'list']); print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")
