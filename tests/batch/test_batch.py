from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import blobs, pixel_model
from napari_micro_ktnet.batch.overlay import class_overlay, error_overlay
from napari_micro_ktnet.batch.plan import plan_files, with_subfolders
from napari_micro_ktnet.batch.record import is_result
from napari_micro_ktnet.batch.segmentation import FileDone, iter_segment_files
from napari_micro_ktnet.batch.writing import OutputOptions
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.measurement.error_map import error_map
from napari_micro_ktnet.measurement.label_files import load_field
from napari_micro_ktnet.measurement.label_folders import pair_folders
from napari_micro_ktnet.measurement.region import find_region
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.sem import read_sem, write_image, write_labels

EXACT = {"device": "cpu", "precision": "float32"}


def run(
    inputs: list[Path], output: Path, options: OutputOptions | None = None, classes: int = 1
) -> list[FileDone]:
    steps = iter_segment_files(plan_files(inputs), output, pixel_model(classes), options, **EXACT)
    return [r for r in steps if isinstance(r, FileDone)]


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.tif", "b.tif"], ["a", "b"]),
        (["a.tif", "a.png"], ["a_tif", "a_png"]),
        (["x/a.tif", "y/a.tif"], ["x_a", "y_a"]),
        (["x/a.tif", "x/a.png", "y/a.tif"], ["x_a_tif", "x_a_png", "y_a_tif"]),
        (["x/raw/a.tif", "y/raw/a.tif", "b.tif"], ["x_raw_a", "y_raw_a", "b"]),
        (["/a.tif", "/x/a.tif"], ["a", "x_a"]),
        (["/x/y/a.tif", "/x/y/../a.tif"], ["y_a", "x_a"]),
        (["x/a.tif", "b.tif", "x/y/../a.tif"], ["a", "b"]),
        (["/.x/a.tif", "/.y/a.tif"], ["x_a", "y_a"]),
        (["/.x/a.tif", "/x/a.tif"], ["a", "a_2"]),
        ([f"/{n}/{'b' * 240}/a.tif" for n in "xy"], ["a", "a_2"]),
        (["x/a.tif", "y/a.tif", "x_a.tif"], ["x_a", "y_a", "x_a_2"]),
        (["A.tif", "a.tif"], ["A", "a_2"]),
        (["a.tif", "a.png", "a_tif.png"], ["a_tif", "a_png", "a_tif_2"]),
        (["a.tif", "a.tif"], ["a"]),
        (["no_suffix"], ["no_suffix"]),
    ],
)
def test_names_never_collide(names: list[str], stems: list[str]) -> None:
    assert [f.stem for f in plan_files(names)] == stems


def test_above_a_link_is_not_where_the_link_is(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "real" / "deep", target_is_directory=True)
    paths = [tmp_path / "top" / "a.tif", tmp_path / "top" / "link" / ".." / "a.tif"]
    assert [(f.path, f.stem) for f in plan_files(paths)] == list(zip(paths, ["top_a", "real_a"], strict=True))
    again = tmp_path / "real" / "deep" / "a.tif"
    through = tmp_path / "top" / "link" / "a.tif"
    assert [f.path for f in plan_files([through, again])] == [through]


def test_a_folder_gives_its_images_but_no_earlier_results(tmp_path: Path) -> None:
    results = ("a_labels.tif", "a_overlay.png", "a_probability_two_words.tif", "a_analysed.tif")
    for name in ("b.tif", "a.PNG", ".hidden.tif", "notes.txt", *results):
        (tmp_path / name).touch()
    (tmp_path / "a.json").write_text(json.dumps({"files": dict.fromkeys(results, "")}))
    assert [f.path.name for f in plan_files([tmp_path])] == ["a.PNG", "b.tif"]
    (tmp_path / "b_overlay.png").touch()
    assert [f.path.name for f in plan_files([tmp_path])] == ["a.PNG", "b.tif", "b_overlay.png"]
    (tmp_path / "b_overlay.png").unlink()
    (tmp_path / "a10.tif").touch()
    (tmp_path / "a9.tif").touch()
    assert [f.path.name for f in plan_files([tmp_path])] == ["a.PNG", "a9.tif", "a10.tif", "b.tif"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        plan_files([tmp_path / "empty"])


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_no_image(tmp_path: Path, value: int) -> None:
    mask = write_image(tmp_path / "in" / "a_mask.png", blobs()[1].astype(np.uint8) * value)
    labels = write_labels(tmp_path / "in" / "c.tif", blobs()[1], (20.0, 20.0))
    image = write_image(tmp_path / "in" / "b.tif", blobs()[1].astype(np.uint8) * 160 + 40)
    done = run([mask, labels, image], tmp_path / "out")
    assert "a_mask holds 0 and one other value alone" in str(done[0].error)
    assert "c holds 0 and one other value alone" in str(done[1].error)
    assert done[2].error is None


def test_a_microscope_s_image_is_no_mask_even_if_black(tmp_path: Path) -> None:
    pixels = np.zeros((96, 128), np.uint8)
    pixels[80:90, 10:50] = 255
    path = tmp_path / "black.tif"
    tifffile.imwrite(path, pixels, extratags=[(34682, 2, 0, "[Beam]\r\nHV=5000\r\nBeam=EBeam\r\n", True)])
    assert read_sem(path).metadata.accelerating_voltage_v == 5000
    (done,) = run([path], tmp_path / "out")
    assert done.error is None


def test_a_folder_of_results_is_said_to_be_one(tmp_path: Path) -> None:
    run([write_image(tmp_path / "a.tif", blobs()[0])], tmp_path / "out")
    with pytest.raises(InputError, match="holds results of earlier runs alone"):
        plan_files([tmp_path / "out"])


def test_a_result_is_one_until_it_is_edited(tmp_path: Path) -> None:
    run([write_image(tmp_path / "a.tif", blobs()[0])], tmp_path / "out")
    path = tmp_path / "out" / "a_labels.tif"
    assert is_result(path)
    write_labels(path, 1 - read_sem(path).pixels)
    assert not is_result(path)
    assert not is_result(write_labels(tmp_path / "other_labels.tif", blobs()[1]))


def test_what_is_written(tmp_path: Path) -> None:
    grey, _ = blobs()
    path = write_image(tmp_path / "in" / "field.tif", grey, (12.5, 25.0))
    (done,) = run([path], tmp_path / "out", OutputOptions(0.4, save_probability=True, save_overlay=True))
    assert done.error is None
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "field.json",
        "field_labels.tif",
        "field_overlay.png",
        "field_probability.tif",
    ]
    labels = read_sem(tmp_path / "out" / "field_labels.tif")
    x = (grey - grey.min()) / float(np.ptp(grey))
    probability = 1 / (1 + np.exp(-(x - 0.5) * 8))
    assert labels.pixels.dtype == np.uint8
    assert np.array_equal(labels.pixels, probability >= 0.4)
    assert labels.pixel_size == pytest.approx((12.5, 25.0))
    saved = read_sem(tmp_path / "out" / "field_probability.tif")
    np.testing.assert_allclose(saved.pixels, probability, atol=1e-5)
    record = json.loads((tmp_path / "out" / "field.json").read_text())
    assert record["input_sha256"] == file_sha256(path)
    assert record["pixel_size_nm"] == pytest.approx([12.5, 25.0])
    assert record["analysed_region"] == {"rows": [0, 96], "columns": [0, 128]}
    assert record["classes"][0]["area_fraction"] == pytest.approx(labels.pixels.mean())
    assert record["parameters"]["threshold"] == 0.4
    assert record["schema_version"] == 1
    assert set(record["versions"]) >= {"python", "torch", "napari-micro-ktnet"}


def test_the_data_bar_is_no_matrix(tmp_path: Path) -> None:
    from napari_micro_ktnet.synthetic import masterbatch_image

    scene = masterbatch_image((300, 400), seed=3, data_bar=True)
    path = write_image(tmp_path / "bar.tif", scene.pixels)
    (done,) = run([path], tmp_path / "out", OutputOptions(0.0))
    (record,) = done.records
    top = 300 - scene.data_bar_rows
    assert scene.data_bar_rows > 0
    assert abs(record.analysed_region.rows[1] - top) <= 2
    labels = read_sem(tmp_path / "out" / record.labels).pixels
    assert not labels[record.analysed_region.rows[1] :].any()
    assert record.classes[0].area_fraction == 1


def test_subfolders(tmp_path: Path) -> None:
    for name in ("b/2.tif", "b/a/1.tif", "b/.cache/3.tif", "b/notes/text.txt", "c/2.tif", "d/e/4.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c" / "link").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / "b", tmp_path / "c", tmp_path / "empty", tmp_path / "missing.tif", tmp_path / "d"]
    names = ["b", "b/a", "c", "empty", "missing.tif", "d/e"]
    assert with_subfolders(inputs) == [tmp_path / name for name in names]
    planned = plan_files(with_subfolders([tmp_path / "b", tmp_path / "c"]))
    assert [(f.path, f.stem) for f in planned] == [
        (tmp_path / "b/2.tif", "b_2"),
        (tmp_path / "b/a/1.tif", "1"),
        (tmp_path / "c/2.tif", "c_2"),
    ]


def test_slices_of_a_stack_get_their_own_files(tmp_path: Path) -> None:
    stack = np.stack([blobs(seed=i)[0] for i in range(3)])
    path = write_image(tmp_path / "stack.tif", stack)
    (done,) = run([path], tmp_path / "out")
    assert [r.labels for r in done.records] == [f"stack_z000{z}_labels.tif" for z in range(3)]
    assert [r.slice_index for r in done.records] == [0, 1, 2]
    assert all(read_sem(tmp_path / "out" / r.labels).pixels.shape == (96, 128) for r in done.records)


def test_several_classes_have_several_probabilities(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", blobs()[0])
    (done,) = run([path], tmp_path / "out", OutputOptions(save_probability=True), classes=2)
    assert [c.value for c in done.records[0].classes] == [1, 2]
    assert sorted(p.name for p in (tmp_path / "out").glob("*probability*")) == [
        "a_probability_class-1.tif",
        "a_probability_class-2.tif",
    ]


def test_an_empty_folder_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    good = write_image(tmp_path / "good.tif", blobs()[0])
    empty, done = run([tmp_path / "empty", good], tmp_path / "out")
    assert "on the command line alone, with --recursive" in str(empty.error)
    assert done.error is None


def test_no_memory_for_one_file_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (write_image(tmp_path / f"{n}.tif", blobs((n, n))[0]) for n in (60, 90))

    def overlay(pixels: np.ndarray, *others: object) -> np.ndarray:
        if len(pixels) == 90:
            raise MemoryError("Unable to allocate")
        return class_overlay(pixels, *others)

    monkeypatch.setattr("napari_micro_ktnet.batch.writing.class_overlay", overlay)
    failed, done = run([large, small], tmp_path / "out", OutputOptions(save_overlay=True))
    assert "not enough memory for" in str(failed.error)
    assert done.error is None
    # All files of an image, or none.
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "60.json",
        "60_labels.tif",
        "60_overlay.png",
    ]


def test_pixels_that_are_no_numbers_are_no_matrix(tmp_path: Path) -> None:
    grey = blobs()[0].astype(np.float32)
    grey[10:20, 30:50] = np.nan
    image = write_image(tmp_path / "a.tif", grey)
    stack = write_image(tmp_path / "z.tif", np.stack([grey, np.full_like(grey, np.nan)]))
    with pytest.warns(UserWarning, match=r"z.tif: no pixel of the slices 1 \(from 0\)"):
        single, both = run([image, stack], tmp_path / "out")
    (record,) = single.records
    assert record.analysed_mask == "a_analysed.tif"
    mask = read_sem(tmp_path / "out" / "a_analysed.tif").pixels
    np.testing.assert_array_equal(mask == 1, np.isfinite(grey))
    field = load_field(tmp_path / "out" / "a_labels.tif")
    np.testing.assert_array_equal(field.analysed, np.isfinite(grey))
    assert find_region(field.labels.shape, field.analysed).pixels == 96 * 128 - 200
    found = record.classes[0].area_fraction
    assert found == pytest.approx(field.labels.sum() / (96 * 128 - 200))
    assert [r.analysed_mask for r in both.records] == ["z_z0000_analysed.tif"]
    assert not list((tmp_path / "out").glob("z_z0001*"))

    truth = tmp_path / "truth"
    write_labels(truth / "a_mask.tif", np.ones(grey.shape, np.uint8))
    (tmp_path / "one").mkdir()
    for name in ("a.json", "a_labels.tif", "a_analysed.tif"):
        (tmp_path / "out" / name).rename(tmp_path / "one" / name)
    (pair,) = pair_folders(tmp_path / "one", truth).pairs
    np.testing.assert_array_equal(pair.ignore, ~np.isfinite(grey))


EVERYTHING = OutputOptions(save_probability=True, save_overlay=True)


@pytest.mark.parametrize(
    "name", ["a_labels.tif", "a.json", "a_overlay.png", "a_probability.tif", "a_analysed.tif"]
)
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_files_of_others_are_never_replaced(again: bool, name: str, tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.tif", blobs()[0])
    if again:
        run([image], tmp_path)
    other = tmp_path / name
    other.write_bytes(b'{"by": "hand"}')
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    (done,) = run([image], tmp_path, EVERYTHING)
    assert str(other) in str(done.error)
    assert "not replaced" in str(done.error)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_only_results_as_they_were_written_are_replaced(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.tif", blobs()[0])
    run([image], tmp_path, EVERYTHING)
    (again,) = run([image], tmp_path, OutputOptions(0.9, save_overlay=True))
    assert again.error is None
    # What belongs to the labels of before is no longer true.
    assert not (tmp_path / "a_probability.tif").exists()
    assert (tmp_path / "a_overlay.png").exists()
    labels = tmp_path / "a_labels.tif"
    edited = read_sem(labels).pixels.copy()
    edited[:30] = 1
    write_labels(labels, edited)
    (refused,) = run([image], tmp_path)
    assert f"{labels} is there already and was changed since it was written" in str(refused.error)
    np.testing.assert_array_equal(read_sem(labels).pixels, edited)
    labels.unlink()
    (last,) = run([image], tmp_path)
    assert last.error is None


@pytest.mark.parametrize("first", [True, False], ids=["first", "again"])
@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_stop_while_files_get_their_names_can_be_repeated(
    renamed: int, first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = write_image(tmp_path / "a.tif", blobs()[0])
    if not first:
        run([image], tmp_path / "out", EVERYTHING)
    real, names = Path.replace, []

    def stop(path: Path, target: Path) -> Path:
        if len(names) == renamed:
            raise KeyboardInterrupt
        names.append(target.name)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", stop)
    options = OutputOptions(0.9, save_probability=True, save_overlay=True)
    with pytest.raises(KeyboardInterrupt):
        run([image], tmp_path / "out", options)
    monkeypatch.undo()
    assert len(names) == renamed
    (done,) = run([image], tmp_path / "out", options)
    assert done.error is None


def test_a_result_that_cannot_be_read_is_an_error_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [write_image(tmp_path / f"{name}.tif", blobs()[0]) for name in "ab"]
    run(images, tmp_path / "out")

    def locked(path: Path) -> str:
        if path.name == "a_labels.tif":
            raise PermissionError(13, "used by another program")
        return file_sha256(path)

    monkeypatch.setattr("napari_micro_ktnet.batch.writing.file_sha256", locked)
    failed, done = run(images, tmp_path / "out")
    assert "cannot be read (used by another program)" in str(failed.error)
    assert done.error is None


def test_names_of_all_pages_are_looked_at_first(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for shape in ((90, 100), (90, 120)):
            tif.write(np.resize(blobs()[0], shape), metadata=None)
    (tmp_path / "a_p1_labels.tif").touch()
    (done,) = run([tmp_path / "a.tif"], tmp_path)
    assert "a_p1_labels.tif" in str(done.error)
    assert not (tmp_path / "a_p0_labels.tif").exists()


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good = write_image(tmp_path / "good.tif", blobs()[0])
    text = tmp_path / "text.tif"
    text.write_text("not an image at all")
    colour = tmp_path / "colour.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(colour)
    results = run([tmp_path / "missing.tif", text, colour, good], tmp_path / "out")
    assert [r.error is None for r in results] == [False, False, False, True]
    for result in results[:3]:
        assert result.error is not None
    assert "missing.tif" in str(results[0].error)
    assert "three different colour channels" in str(results[2].error)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.json", "good_labels.tif"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", blobs()[0])
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match="Nothing can be written into"):
        run([path], tmp_path / "out")


def test_cancelling_leaves_nothing_half_written(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.tif", np.tile(blobs()[0], (4, 4)))
    steps = iter_segment_files(plan_files([path]), tmp_path / "out", pixel_model(), tile=64, **EXACT)
    next(steps)
    steps.close()
    assert not (tmp_path / "out").exists()


def test_threshold_is_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 to 1"):
        next(iter_segment_files(plan_files(["a.tif"]), tmp_path, pixel_model(), OutputOptions(2.0)))


def test_error_colours() -> None:
    grey = np.zeros((1, 5), np.uint8)
    prediction, truth = np.array([[1, 0, 1, 0, 2]]), np.array([[1, 1, 0, 0, 1]])
    picture = error_overlay(grey, error_map(prediction, truth))
    # Yellow found, green missed, red false, nothing, blue wrong class.
    wanted = [(255, 221, 0), (0, 200, 0), (230, 30, 30), (0, 0, 0), (47, 155, 255)]
    assert picture[0].tolist() == [[int(0.55 * c) for c in color] for color in wanted]


def test_class_overlay_outlines_in_the_class_colour() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15, 5:15] = 1
    picture = class_overlay(np.zeros((20, 20)), labels, (LabelClass(name="a", color="#ff8000"),))
    assert picture[5, 8].tolist() == [255, 128, 0]
    assert picture[10, 10].tolist() == [63, 32, 0]
    assert picture[0, 0].tolist() == [0, 0, 0]
