from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.limits import Limits, read_limits
from napari_micro_ktnet.measurement.measuring import measure
from napari_micro_ktnet.measurement.verdict import judge


def lot(*, fields: int = 1, pixel_size: float | None = 1000.0, corner: bool = False):
    """Fields of 1 mm2 with squares of 10 (ECD 11.28 um) and 20 pixels (22.57 um)."""
    labels = np.zeros((1000, 1000), np.uint8)
    labels[100:110, 100:110] = 1
    first = 0 if corner else 500
    labels[first : first + 20, 300:320] = 1
    return measure([labels] * fields, pixel_size, d_star_um=15.0).pooled


def limits(**given: object) -> Limits:
    known = {name: given.pop(name) for name in ("grades", "sampling", "name") if name in given}
    return Limits.model_validate({"d_star_um": 15.0, "limits": given, **known})


@pytest.mark.parametrize(
    ("given", "outcome", "reason"),
    [
        ({"largest_ecd_um": 23.0}, "pass", "ECD of 22.57 um, not more than the limit 23"),
        ({"largest_ecd_um": 22.0}, "fail", "more than the limit 22"),
        # 500 of 1,000,000 pixels.
        ({"area_percent": 0.05}, "pass", "0.05 %"),
        ({"area_percent": 0.04}, "fail", "cover 0.05 %"),
        ({"count_per_mm2_above_d_star": 3.0}, "pass", "1 agglomerates per mm2 are larger than d* = 15 um"),
        ({"count_per_mm2_above_d_star": 0.5}, "not enough data", "at the limit 0.5 would be expected"),
        ({"largest_ecd_um": 22.0, "count_per_mm2_above_d_star": 0.5}, "fail", "more than"),
        (
            {"area_percent": 1.0, "sampling": {"min_fields": 2}},
            "not enough data",
            "at least 2 fields (measured: 1)",
        ),
        (
            {"area_percent": 1.0, "sampling": {"min_objects": 3}},
            "not enough data",
            "at least 3 objects (found: 2)",
        ),
        (
            {"area_percent": 0.01, "sampling": {"min_area_mm2": 1.5}},
            "not enough data",
            "1.5 mm2 (measured: 1 mm2)",
        ),
        ({"largest_ecd_um": 50.0, "sampling": {"min_fields": 2}}, "not enough data", "measured: 1"),
        # What is too large stays too large.
        ({"largest_ecd_um": 20.0, "sampling": {"min_fields": 2}}, "fail", "more than"),
    ],
)
def test_limits(given: dict[str, object], outcome: str, reason: str) -> None:
    verdict = judge(lot(), limits(**given))
    assert verdict.outcome == outcome
    assert reason in verdict.checks[0].reason


def test_more_fields_give_enough_data() -> None:
    asked = limits(count_per_mm2_above_d_star=1.5, sampling={"min_fields": 2, "min_area_mm2": 2.0})
    assert judge(lot(fields=2), asked).outcome == "pass"


def test_without_pixel_size() -> None:
    pooled = lot(pixel_size=None)
    verdict = judge(pooled, limits(largest_ecd_um=50.0, count_per_mm2_above_d_star=9.0, area_percent=9.0))
    assert [c.outcome for c in verdict.checks] == ["not enough data", "not enough data", "pass"]
    assert verdict.outcome == "not enough data"
    assert "pixel size" in verdict.checks[0].reason


def test_largest_at_the_edge_is_pointed_out() -> None:
    verdict = judge(lot(corner=True), limits(largest_ecd_um=50.0))
    assert verdict.outcome == "pass"
    assert "touches the edge" in verdict.checks[0].reason


def test_clean_lot() -> None:
    pooled = measure(np.zeros((1000, 1000), np.uint8), 1000.0, d_star_um=15.0).pooled
    verdict = judge(pooled, limits(largest_ecd_um=5.0, area_percent=0.1, count_per_mm2_above_d_star=3.0))
    assert verdict.outcome == "pass"
    assert verdict.checks[0].value == 0


@pytest.mark.parametrize(
    ("rows", "grade", "outcome", "reason"),
    [
        ([("A", 20.0), ("B", 30.0), ("C", 90.0)], "B", "pass", "grade B are kept"),
        ([("A", 30.0)], "A", "pass", "grade A"),
        ([("A", 10.0), ("B", 20.0)], None, "fail", "No grade is reached"),
    ],
)
def test_grades(rows: list[tuple[str, float]], grade: str | None, outcome: str, reason: str) -> None:
    table = [{"name": name, "largest_ecd_um": limit} for name, limit in rows]
    verdict = judge(lot(), limits(grades=table))
    assert (verdict.grade, verdict.outcome) == (grade, outcome)
    assert reason in verdict.grade_reason


def test_grade_that_cannot_be_decided() -> None:
    table = [{"name": "A", "count_per_mm2_above_d_star": 1.0}, {"name": "B", "largest_ecd_um": 90.0}]
    verdict = judge(lot(), limits(grades=table, area_percent=1.0))
    assert (verdict.grade, verdict.outcome) == (None, "not enough data")
    assert "Grade A cannot be decided" in verdict.grade_reason


def test_another_d_star_is_refused() -> None:
    with pytest.raises(InputError, match="d\\* = 7 um"):
        judge(lot(), Limits.model_validate({"d_star_um": 7.0, "limits": {"area_percent": 1.0}}))


GOOD = """
# Limits of our lab
schema_version = 1
name = "Black 40 %"
d_star_um = 10.0

[limits]
largest_ecd_um = 50
count_per_mm2_above_d_star = 20
area_percent = 2

[sampling]
min_fields = 5

[[grades]]
name = "A"
largest_ecd_um = 20

[[grades]]
name = "B"
largest_ecd_um = 40
"""


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(GOOD)
    found = read_limits(path)
    assert found.limits.given == {
        "largest_ecd_um": 50,
        "count_per_mm2_above_d_star": 20,
        "area_percent": 2,
    }
    assert (found.name, found.sampling.min_fields) == ("Black 40 %", 5)
    assert [g.name for g in found.grades] == ["A", "B"]
    assert Limits.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "largest_ecd_um = 50",
            "largest_ecd = 50",
            r"line 8: .*limits.largest_ecd\. Did you mean largest_ecd_um",
        ),
        ("area_percent = 2", "area_percent = -2", r"line 10: limits.area_percent cannot be -2"),
        ("area_percent = 2", 'area_percent = "two"', r"line 10: .* cannot be 'two'"),
        ("area_percent = 2", "area_percent = 200", "line 10"),
        ("area_percent = 2", "area_percent = inf", "line 10"),
        ("area_percent = 2", "area_percent = ", "line 10"),
        ("min_fields = 5", "fields = 5", r"line 13: .*sampling.fields"),
        ("min_fields = 5", "min_fields = 2.5", "line 13"),
        ("largest_ecd_um = 40", "largest_um = 40", r"line 21: .*grades.1.largest_um"),
        ('name = "B"\n', "", r"line 19: grades.1.name is missing"),
        ("d_star_um = 10.0", "", "needs the size d_star_um"),
        ("d_star_um = 10.0", "dstar_um = 10.0", r"line 5: .*Did you mean d_star_um"),
        ("[limits]", "[limit]", r"line 7: .*Did you mean limits"),
        ("schema_version = 1", "schema_version = 2", "line 3"),
        (GOOD, "", "no limit in it"),
        ("[limits]", "[limits", "line 7"),
    ],
)
def test_typos_are_named_with_their_line(before: str, after: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    assert before in GOOD
    path.write_text(GOOD.replace(before, after))
    with pytest.raises(InputError, match=message) as error:
        read_limits(path)
    assert str(path) in str(error.value)


def test_numbers_in_quotes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text('[limits]\narea_percent = "2"\n')
    with pytest.raises(InputError, match=r"line 2: limits\.area_percent cannot be '2'"):
        read_limits(tmp_path / "l.toml")


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_limits(tmp_path / "none.toml")


@pytest.mark.parametrize("content", [b"[limits", b"\xff\xfe\x00"])
def test_file_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a limits file"):
        read_limits(path)


def test_example_of_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "measurement.md").read_text(encoding="utf-8")
    path = tmp_path / "limits.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    found = read_limits(path)
    assert (found.limits.largest_ecd_um, found.sampling.min_fields, len(found.grades)) == (50, 10, 2)


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [(20.0, "fail"), (22.5, "fail"), (23.0, "not enough data"), (200.0, "not enough data")],
)
def test_one_field_without_pixel_size(limit: float, outcome: str) -> None:
    labels = np.zeros((1000, 1000), np.uint8)
    labels[100:120, 100:120] = 1
    larger = np.zeros((1000, 1000), np.uint8)
    larger[100:200, 100:200] = 1
    # In pixels, what is in the field of unknown magnification is larger.
    pooled = measure([labels, larger], [1000.0, None], d_star_um=15.0).pooled
    assert pooled.largest is not None
    assert pooled.largest.ecd_um == pytest.approx(22.57, abs=0.01)
    assert judge(pooled, limits(largest_ecd_um=limit)).outcome == outcome


@pytest.mark.parametrize("count", [700, 1400])
def test_exactly_at_the_limit(count: int) -> None:
    labels = np.zeros((1000, 1000), np.uint8)
    for number in range(count):
        y, x = divmod(number, 50)
        labels[y * 20 : y * 20 + 10, x * 20 : x * 20 + 10] = 1
    pooled = measure(labels, 1000.0, d_star_um=15.0).pooled
    assert judge(pooled, limits(area_percent=count / 100)).outcome == "pass"
    assert judge(pooled, limits(area_percent=count / 100 - 1e-6)).outcome == "fail"
