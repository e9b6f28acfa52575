from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import napari_micro_ktnet
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.errors import DataError, InputError, ReadError
from napari_micro_ktnet.measurement.measuring import measure
from napari_micro_ktnet.measurement.summary import MeasurementRecord
from napari_micro_ktnet.sem import DataBar, SEMImage, write_image, write_labels


def squares(*sides: int, shape: tuple[int, int] = (200, 300)) -> NDArray[np.uint8]:
    """Squares side by side, none at the edge."""
    labels = np.zeros(shape, np.uint8)
    x = 10
    for side in sides:
        labels[50 : 50 + side, x : x + side] = 1
        x += side + 5
    return labels


def ecd(side: float) -> float:
    return side * math.sqrt(4 / math.pi)


def test_one_field_by_hand() -> None:
    found = napari_micro_ktnet.measure(squares(10, 20, 30), pixel_size=500.0).to_dict()
    for part in (found["fields"][0], found["pooled"]):
        assert part["count"] == 3
        assert part["area_fraction"] == pytest.approx(1400 / 60000)
        assert part["analysed_mm2"] == pytest.approx(60000 * 0.25e-6)
        assert part["number_density_per_mm2"] == pytest.approx(3 / 0.015)
        number, area = part["ecd_um"]["number"], part["ecd_um"]["area"]
        assert number["d50"] == pytest.approx(ecd(10))
        # Middles of the shares 1/14, 4/14, 9/14 of the area are 1/28, 6/28, 19/28.
        d50 = np.interp(0.5, [6 / 28, 19 / 28], [ecd(10), ecd(15)])
        assert (area["d10"], area["d50"]) == pytest.approx(
            (np.interp(0.1, [1 / 28, 6 / 28], [ecd(5), ecd(10)]), d50)
        )
        assert area["span"] == pytest.approx((area["d90"] - area["d10"]) / d50)
        assert part["ecd_um"]["max"] == pytest.approx(ecd(15))
        assert part["ecd_px"]["max"] == pytest.approx(ecd(30))
        assert part["clark_evans"]["n"] == 3
        assert part["clark_evans"]["p"] is None
        # d* = 5 um lies below all three.
        assert part["agglomerate_degree"] == {
            "d_star_um": 5.0,
            "area_share": 1.0,
            "count": 3.0,
            "count_per_mm2": pytest.approx(200),
        }
        classes = part["size_classes"]
        assert [(c["low"], c["high"], c["count"]) for c in classes] == [(5, 10, 1), (10, 20, 2)]
        assert sum(c["area_percent"] for c in classes) == pytest.approx(100 * part["area_fraction"])
        assert classes[-1]["cumulative_area_percent"] == pytest.approx(100)
        assert classes[0]["cumulative_area_percent"] == pytest.approx(100 / 14)


def test_record_is_valid_json_and_reads_back() -> None:
    result = measure([squares(10, 20), squares()], ripley=True)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert MeasurementRecord.model_validate_json(text) == result.record


def test_without_calibration() -> None:
    found = measure(squares(10, 20)).to_dict()
    for part in (found["fields"][0], found["pooled"]):
        assert (part["ecd_um"], part["number_density_per_mm2"], part["agglomerate_degree"]) == (None,) * 3
        assert part["ecd_px"]["number"]["d50"] == pytest.approx(ecd(15))
        assert any("pixel size" in text.lower() for text in part["warnings"])
        assert part["size_classes"][0]["count_per_mm2"] is None


def test_magnifications_are_pooled_in_um() -> None:
    # 20 px of 100 nm and 10 px of 200 nm are the same square; the second field is 4 times as large.
    found = measure([squares(20), squares(10, 10)], [100.0, (200.0, 200.0)]).to_dict()
    pooled = found["pooled"]
    assert pooled["ecd_um"]["number"] == pytest.approx(
        {"d10": ecd(2), "d50": ecd(2), "d90": ecd(2), "span": 0}
    )
    assert pooled["ecd_px"] is None
    assert pooled["area_fraction"] == pytest.approx(3 * 4 / (5 * 20 * 30))
    assert pooled["number_density_per_mm2"] == pytest.approx(3 / (5 * 20 * 30) * 1e6)
    assert any("different magnification" in text for text in pooled["warnings"])
    assert pooled["scatter"]["area_fraction"]["mean"] == pytest.approx(np.mean([400 / 60000, 200 / 60000]))


def test_magnifications_are_grouped() -> None:
    labels = [squares(20), squares(10), squares(12), squares(10, 10), squares()]
    found = measure(labels, [200.0, 100.0, None, 205.0, 100.0]).record
    assert [(g.pixel_sizes_nm, g.fields) for g in found.groups] == [
        ((100.0, 100.0), (1, 4)),
        ((200.0, 205.0), (0, 3)),
        (None, (2,)),
    ]
    assert [g.pooled.count for g in found.groups] == [1, 3, 1]
    assert found.groups[0].pooled == measure([labels[1], labels[4]], 100.0).pooled.model_copy(
        update={"largest": found.groups[0].pooled.largest}
    )
    assert measure(labels, 100.0).record.groups == ()
    assert measure(labels).record.groups == ()


def test_partly_calibrated() -> None:
    found = measure([squares(20), squares(10)], [100.0, None]).to_dict()
    assert found["fields"][0]["ecd_um"] is not None
    assert found["fields"][1]["ecd_um"] is None
    pooled = found["pooled"]
    assert (pooled["ecd_um"], pooled["ecd_px"], pooled["size_classes"]) == (None, None, [])
    assert pooled["scatter"]["number_density_per_mm2"] is None
    assert any("1 of 2 fields is not known (field 2)" in text for text in pooled["warnings"])


@pytest.mark.parametrize("pixel_size", [None, 50.0])
def test_empty_fields_count_as_fields(pixel_size: float | None) -> None:
    found = measure([squares(), squares(10), squares()], pixel_size).to_dict()
    assert [f["count"] for f in found["fields"]] == [0, 1, 0]
    assert found["fields"][0]["area_fraction"] == 0
    assert found["fields"][0]["ecd_px"]["number"]["d50"] is None
    assert found["pooled"]["area_fraction"] == pytest.approx(100 / 180000)
    assert found["pooled"]["confidence"]["intervals"]["area_fraction"][0] == 0


def test_confidence_needs_three_fields() -> None:
    two = measure([squares(10)] * 2, 50.0).pooled.confidence
    assert (two.intervals, two.fields) == ({}, 2)
    assert "2 of the 3" in two.reason
    sides = [(5, 9), (6, 12, 20), (8,), (7, 7, 7)]
    three = measure([squares(*s) for s in sides], 50.0)
    low, high = three.pooled.confidence.intervals["ecd_um.number.d50"]
    assert low <= three.pooled.ecd_um.number.d50 <= high
    assert low < high
    again = measure([squares(*s) for s in sides], 50.0)
    assert again.pooled.confidence == three.pooled.confidence


@pytest.mark.parametrize(
    ("rule", "count", "number_density"),
    [("keep", 3, 3.0), ("exclude", 1, 1.0), ("weight", 1, 100 * 100 / 90**2)],
)
def test_border_rule(rule: str, count: int, number_density: float) -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[40:50, 40:50] = labels[:10, 60:70] = labels[95:, 95:] = 1
    found = measure(labels, 1000.0, border=rule).pooled
    assert (found.count, found.border_count) == (count, 2)
    assert found.number_density_per_mm2 == pytest.approx(number_density * 100)
    assert found.area_fraction == pytest.approx(225 / 1e4)


def test_options_reach_the_objects() -> None:
    labels = squares(2, 10)
    labels[53:56, 20:23] = 0
    assert measure(labels, min_size_px=3.0).pooled.count == 1
    assert measure(labels, 100.0, min_size_um=0.3).pooled.count == 1
    assert measure(labels).fields[0].table["area_px"].tolist() == [4, 91]
    assert measure(labels, fill_holes=True).fields[0].table["area_px"].tolist() == [4, 100]
    assert measure(labels, 1000.0, d_star_um=5.0).pooled.agglomerate_degree.count == 1
    assert measure(labels, split=2.0).to_dict()["parameters"]["split"] == 2.0


def test_ripley_on_demand() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((300, 300), np.uint8)
    labels[tuple(rng.integers(0, 300, (2, 60)))] = 1
    assert measure(labels).record.fields[0].ripley is None
    found = measure(labels, 500.0, ripley=True).record.fields[0].ripley
    assert found.unit == "um"
    assert found.r[-1] == pytest.approx(300 * 0.5 / 4)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((5, 5)), {}, "expected integers"),
        (np.full((5, 5), -3), {}, "down to -3"),
        (np.zeros((0, 5), int), {}, "empty"),
        (np.zeros((2, 5, 5), int), {}, "as a list of images"),
        ([], {}, "at least one"),
        (squares(5), {"pixel_size": 0.0}, "pixel size is 0.0"),
        (squares(5), {"pixel_size": (1.0, 2.0, 3.0)}, "pixel size"),
        (squares(5), {"pixel_size": float("nan")}, "pixel size"),
        (squares(5), {"pixel_size": [1.0, 2.0]}, "2 pixel sizes were given for 1"),
        (squares(5), {"image": [squares(5)] * 2}, "2 images were given for 1"),
        (squares(5), {"image": np.zeros((3, 3))}, "same"),
        (squares(5), {"analysed": np.ones((3, 3), bool)}, "same"),
        (squares(5), {"analysed": np.zeros((200, 300), bool)}, "No pixel is analysed"),
        (squares(5), {"min_size_um": 1.0}, "pixel size is not known"),
        (squares(5), {"border": "cut"}, "border rule"),
        (squares(5), {"d_star_um": -1.0}, "d\\*"),
    ],
)
def test_wrong_input(labels: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(labels, **options)


def test_image_gives_grey_values_pixel_size_and_data_bar() -> None:
    pixels = np.full((200, 300), 7, np.uint8)
    pixels[:, 30:] = 9
    image = SEMImage(pixels, (40.0, 40.0), "metadata", data_bar=DataBar(180, 200, "metadata"))
    labels = squares(10, 10)
    labels[185:190, 10:60] = 1  # text in the data bar
    found = measure(labels, image=image)
    assert found.pooled.count == 2
    assert found.record.fields[0].rows == (0, 180)
    assert found.record.fields[0].pixel_size_nm == (40.0, 40.0)
    assert found.fields[0].table["mean_grey"] == pytest.approx([7, (7 * 5 + 9 * 5) / 10])
    guess = SEMImage(pixels, (40.0, 40.0), "estimated")
    assert measure(labels, image=guess).pooled.ecd_um is None


def write_record(path: Path, rows: tuple[int, int], size: float | None = None, **other: Any) -> None:
    content = {
        "shape": [200, 300],
        "analysed_region": {"rows": rows, "columns": [0, 300]},
        "pixel_size_nm": size and [size, size],
        "pixel_size_source": "metadata",
    }
    path.write_text(json.dumps(content | other))


def test_record_of_segment_says_what_was_analysed(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a_labels.tif", squares(10))
    write_record(tmp_path / "a.json", (0, 100), 20.0)
    found = measure(path).record.fields[0]
    assert found.area_fraction == pytest.approx(100 / 30000)
    assert (found.name, found.pixel_size_nm) == ("a", (20.0, 20.0))
    write_record(tmp_path / "a.json", (0, 100), 20.0, pixel_size_source="estimated")
    assert any("estimate" in text for text in measure(path).record.fields[0].warnings)
    write_record(tmp_path / "a.json", (0, 100), shape=[9, 9])
    with pytest.raises(InputError, match=r"a_labels.tif: .*does not belong"):
        measure(path)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match="not a record"):
        measure(path)


def test_pixel_size_of_the_file_comes_first(tmp_path: Path) -> None:
    calibrated = write_labels(tmp_path / "a.tif", squares(10), (30.0, 30.0))
    plain = write_labels(tmp_path / "b.tif", squares(10))
    found = measure([calibrated, plain], 50.0).record
    assert [f.pixel_size_nm for f in found.fields] == [pytest.approx((30.0, 30.0)), (50.0, 50.0)]
    assert any("not used" in text for text in found.fields[0].warnings)


def test_csv_has_one_row_for_each_object() -> None:
    result = measure([squares(10, 20), squares(), squares(5)], [100.0, 100.0, None])
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [(r["field"], r["object"], r["area_px"]) for r in rows] == [
        ("field 1", "1", "100"),
        ("field 1", "2", "400"),
        ("field 3", "1", "25"),
    ]
    assert float(rows[1]["ecd_um"]) == pytest.approx(ecd(2))
    assert rows[2]["ecd_um"] == ""
    assert rows[0]["orientation_deg"] == ""


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_labels(tmp_path / "in" / "a_labels.tif", squares(10, 20), (100.0, 100.0))
    b = tmp_path / "b.png"
    Image.fromarray(squares(10) * 255).save(b)
    target, table = tmp_path / "out" / "m.json", tmp_path / "out" / "m.csv"
    arguments = ["measure", str(tmp_path / "in"), str(b), "--pixel-size", "100"]
    assert main([*arguments, "--json", str(target), "--csv", str(table)]) == 0
    found = json.loads(target.read_text())
    assert [(f["name"], f["count"]) for f in found["fields"]] == [("a", 2), ("b", 1)]
    assert found["fields"][0]["file"] == str(a)
    assert found["pooled"]["ecd_um"]["number"]["d50"] == pytest.approx(ecd(1), rel=1e-6)
    assert len(table.read_text().splitlines()) == 4
    out = capsys.readouterr().out
    assert "all 2" in out
    assert str(target) in out


@pytest.mark.parametrize(
    ("limit", "status", "word"), [(30, 0, "PASS"), (20, 3, "FAIL"), (None, 4, "NOT ENOUGH DATA")]
)
def test_command_with_limits(
    limit: float | None, status: int, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_labels(tmp_path / "a.tif", squares(20), (1000.0, 1000.0))
    asked = f"largest_ecd_um = {limit}" if limit else "count_per_mm2_above_d_star = 1"
    (tmp_path / "l.toml").write_text(f"d_star_um = 7\n[limits]\n{asked}\n")
    target = tmp_path / "m.json"
    arguments = ["measure", str(path), "--limits", str(tmp_path / "l.toml"), "--json", str(target)]
    assert main(arguments) == status
    assert f"Verdict: {word}" in capsys.readouterr().out
    found = json.loads(target.read_text())
    assert found["verdict"]["outcome"] == word.lower()
    assert found["pooled"]["agglomerate_degree"]["d_star_um"] == 7


def test_command_goes_on_after_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_labels(tmp_path / "a.tif", squares(10), (50.0, 50.0))
    floats = write_image(tmp_path / "float.tif", np.zeros((9, 9), np.float32))
    stack = write_labels(tmp_path / "stack.tif", np.zeros((3, 9, 9), np.uint8))
    colour = tmp_path / "colour.tif"
    tifffile.imwrite(
        colour, np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8), photometric="rgb"
    )
    target = tmp_path / "m.json"
    paths = [str(p) for p in (floats, good, tmp_path / "none.tif", stack, colour)]
    assert main(["measure", *paths, "--json", str(target)]) == 1
    errors = capsys.readouterr().err
    assert "4 of 5 files failed" in errors
    for name in ("float.tif", "none.tif", "stack.tif", "colour.tif"):
        assert errors.count(name) == 1
    found = json.loads(target.read_text())
    assert len(found["fields"]) == 1
    assert "4 of 5 files could not be measured." in found["pooled"]["warnings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limits", "none.toml"], "does not exist"),
        (["--images", "a.tif", "b.tif"], "2 images were given for 1"),
        (["--json", "a.json"], "keeps its record"),
    ],
)
def test_command_wrong_use(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_labels("a_labels.tif", squares(10))
    assert main(["measure", "a_labels.tif", *options]) == 2
    assert message in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["measure", "empty"]) == 2


@pytest.mark.parametrize(
    "options",
    [["--pixel-size", "0"], ["--split", "-1"], ["--min-size", "3mm"], ["--border", "cut"], ["--d-star", "x"]],
)
def test_command_wrong_values(options: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["measure", "a.tif", *options])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("text", "count"), [("3", 1), ("3px", 1), ("0.2um", 2), ("0.3 \u00b5m", 1), ("0", 2)]
)
def test_command_least_size(text: str, count: int, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.tif", squares(2, 10), (100.0, 100.0))
    target = tmp_path / "m.json"
    assert main(["measure", str(path), "--min-size", text, "--json", str(target)]) == 0
    assert json.loads(target.read_text())["pooled"]["count"] == count


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError):
        measure(tmp_path / "none.tif")


def test_a_grey_image_is_refused(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).normal(120, 20, (200, 300)).clip(0, 255).astype(np.uint8)
    with pytest.raises(InputError, match="look like a grey image"):
        measure(grey)
    # Instances that touch everywhere are labels.
    instances = np.arange(1, 101).reshape(10, 10).repeat(20, 0).repeat(20, 1)
    assert measure(instances).pooled.count == 100


def test_a_folder_stands_for_its_labels(tmp_path: Path) -> None:
    for name, side in (("a_labels.tif", 10), ("b_labels.tif", 20), ("b.tif", 30)):
        write_labels(tmp_path / name, squares(side), (500.0, 500.0))
    assert [f.summary.name for f in measure(tmp_path).fields] == ["a", "b"]


def test_least_size_of_exactly_an_object() -> None:
    for side in range(1, 30):
        assert measure(squares(side), min_size_px=ecd(side)).pooled.count == 1
        assert measure(squares(side), 37.0, min_size_um=ecd(side) * 0.037).pooled.count == 1
        assert measure(squares(side), min_size_px=ecd(side) * 1.001).pooled.count == 0


def test_heavy_weights_are_told() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[1:99, 1:99] = 1
    found = measure(labels, border="weight").pooled
    assert any("counts 2500 times" in text for text in found.warnings)


def test_an_object_cut_at_a_corner_of_the_region_touches_the_edge() -> None:
    analysed = np.ones((60, 60), bool)
    analysed[30:, 30:] = False
    labels = np.zeros((60, 60), np.uint8)
    labels[25:30, 25:30] = 1
    assert measure(labels, analysed=analysed).fields[0].table["border"].tolist() == [True]


def test_confidence_limits_are_those_of_the_fields_drawn() -> None:
    rng = np.random.default_rng(5)
    fields = [squares(*rng.integers(3, 25, 3)) for _ in range(5)]
    found = measure(fields, 1000.0, seed=3).pooled.confidence.intervals["ecd_um.number.d50"]
    sizes = [measure(f, 1000.0).fields[0].table["ecd_um"] for f in fields]
    draws = np.random.default_rng(3).integers(0, 5, (20_000, 5))
    values = [np.quantile(np.concatenate([sizes[i] for i in d]), 0.5, method="hazen") for d in draws]
    # As far as 1000 draws know it.
    assert found == pytest.approx(np.percentile(values, [2.5, 97.5]), rel=0.05)


def test_two_labels_of_one_image_in_a_folder_are_refused(tmp_path: Path) -> None:
    for name in ("x", "x_tif"):
        write_labels(tmp_path / f"{name}_labels.tif", squares(10), (500.0, 500.0))
        record = {"input_sha256": "ab", "image": "x", "slice_index": None}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"x_labels\.tif and x_tif_labels\.tif .* are labels of the same"):
        measure(tmp_path)
