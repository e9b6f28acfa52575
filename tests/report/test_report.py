from __future__ import annotations

import base64
import html.parser
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_micro_ktnet.errors import DataError, InputError, ReadError
from napari_micro_ktnet.measurement.agglomerates import ObjectOptions
from napari_micro_ktnet.measurement.fields import LabelField, MeasureOptions, measure_field
from napari_micro_ktnet.measurement.limits import Limits
from napari_micro_ktnet.measurement.pooled import Measurement, pool
from napari_micro_ktnet.report import ReportField, ReportInfo, write_report
from napari_micro_ktnet.report.figures import size_histograms
from napari_micro_ktnet.report.gallery import chosen_fields, largest_objects
from napari_micro_ktnet.report.numbers import chance, digits, interval, percent
from napari_micro_ktnet.report.svg import FONT, Axis, left_margin, nice_step
from napari_micro_ktnet.sem import SEMImage, SEMMetadata
from napari_micro_ktnet.sem.describe import describe

SIDES = (4, 8, 16, 30)


def squares(*sides: int, shape: tuple[int, int] = (120, 160)) -> NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    x = 6
    for side in sides:
        labels[40 : 40 + side, x : x + side] = 1
        x += side + 5
    return labels


def lot(
    *labels: NDArray[np.uint8],
    pixel_size: float | None = 100.0,
    limits: dict[str, Any] | None = None,
    options: MeasureOptions | None = None,
) -> tuple[Measurement, list[ReportField]]:
    size = (pixel_size, pixel_size) if pixel_size else None
    options = options or MeasureOptions(ripley=True)
    fields = [
        LabelField(values, f"f{n}", pixel_size=size, grey=np.where(values > 0, 180, 60).astype(np.uint8))
        for n, values in enumerate(labels, 1)
    ]
    asked = Limits.model_validate({"d_star_um": options.d_star_um, "limits": limits}) if limits else None
    measured = pool([measure_field(f, options) for f in fields], options, asked)
    return measured, [ReportField(lambda f=f: f) for f in fields]


class Page(html.parser.HTMLParser):
    """Text of a page, what it would fetch, and whether its tags are balanced."""

    VOID = frozenset({"meta", "br", "image", "rect", "circle", "polyline", "polygon"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(content)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(path: Path, *args: Any, **more: Any) -> Page:
    content = write_report(path / "report.html", *args, **more).read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "url(" not in content
    return page


def pictures(page: Page) -> list[NDArray[np.uint8]]:
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))) for source in page.sources
    ]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (None, ["No verdict", "No limits were given"]),
        ({"largest_ecd_um": 5.0}, ["Pass", "ECD of 3.385 um, not more than the limit 5"]),
        ({"largest_ecd_um": 3.0}, ["Fail", "1 of 1 limits is broken", "more than the limit 3"]),
        ({"count_per_mm2_above_d_star": 1.0}, ["Not enough data", "too little to judge"]),
    ],
)
def test_verdict_in_words(limits: dict[str, Any] | None, said: list[str], tmp_path: Path) -> None:
    text = page_of(tmp_path, *lot(squares(*SIDES), limits=limits)).text
    for words in said:
        assert words in text


def test_everything_is_there(tmp_path: Path) -> None:
    measured, fields = lot(*(squares(*SIDES[k:]) for k in range(4)))
    image = SEMImage(
        np.zeros((120, 160), np.uint8),
        (100.0, 100.0),
        "metadata",
        SEMMetadata("Zeiss", accelerating_voltage_v=5000.0, working_distance_m=0.004, detector="InLens"),
        path=Path("somewhere/a.tif"),
    )
    fields = [ReportField(f.load, describe(image)) for f in fields]
    page = page_of(tmp_path, measured, fields, ReportInfo("L7", "A. Miller", "Our title", "a note"))
    for words in (
        "Our title",
        "L7",
        "A. Miller",
        "a note",
        "10 in 4 fields",
        "5 kV",
        "4 mm",
        "InLens",
        "0.1 \u00b5m/px (from the image file)",
        "a.tif",
        "counted like all others",
        "Sizes are those of sections.",
        "Agglomerate degree above d* = 5 \u00b5m",
        "8 neighbours",
        "95 % confidence",
        "about",
    ):
        assert words in page.text, words
    # 4 fields and the 10 largest objects.
    assert len(page.sources) == 14


def test_what_people_and_files_say_cannot_become_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"
    measured, fields = lot(squares(9), squares(5))
    image = SEMImage(np.zeros((9, 9)), metadata=SEMMetadata(detector=evil), path=Path(f"x/{evil[8:16]}.tif"))
    fields = [ReportField(f.load, describe(image)) for f in fields]
    earlier = tmp_path / "e.json"
    earlier.write_text(json.dumps(measured.to_dict() | {"lot": evil[:12]}))
    page = page_of(tmp_path, measured, fields, ReportInfo(*[evil] * 4), [earlier])
    assert page.text.count(evil) >= 5


@pytest.mark.parametrize("pixel_size", [None, 50.0])
@pytest.mark.parametrize("sides", [(), (9,)])
def test_little_to_report(pixel_size: float | None, sides: tuple[int, ...], tmp_path: Path) -> None:
    page = page_of(tmp_path, *lot(squares(*sides), pixel_size=pixel_size))
    assert len(page.sources) == 1 + len(sides)
    assert ("No agglomerate was found" in page.text) == (not sides)
    assert ("sizes are in px" in page.text) == (pixel_size is None)
    assert "No confidence limits" in page.text


def test_partly_calibrated_and_without_pictures(tmp_path: Path) -> None:
    known, fields = lot(squares(9))
    unknown, more = lot(squares(20), pixel_size=None)
    both = pool([*known.fields, *unknown.fields])
    assert [g.pixel_sizes_nm for g in both.record.groups] == [(100.0, 100.0), None]
    page = page_of(tmp_path, both, [*fields, *more])
    for words in (
        *("Sizes cannot be pooled", "Magnifications", "100 nm", "1.02 \u00b5m", "22.6 px"),
        "only fields with a pixel size",
    ):
        assert words in page.text, words
    # Two fields, and the largest object of the one whose size is known.
    assert len(page.sources) == 3
    assert not page_of(tmp_path, both).sources
    with pytest.raises(InputError, match="1 fields were given for the report of 2"):
        write_report(tmp_path / "r.html", both, fields)


def test_overlay_shows_size_classes(tmp_path: Path) -> None:
    page = page_of(tmp_path, *lot(squares(4, 30)))
    overlay, largest, second = pictures(page)
    assert overlay.shape == (120, 160, 3)

    def color(y: int, x: int) -> NDArray[np.int64]:
        return overlay[y, x].astype(int)

    # JPEG does not keep colours exactly; the outline of the small one is blue, of the large one red.
    assert color(40, 7)[2] > color(40, 7)[0] + 80
    assert color(40, 30)[0] > color(40, 30)[2] + 80
    assert np.ptp(color(100, 100)) < 20
    assert max(largest.shape) == max(second.shape) == 260


def test_objects_that_do_not_count_are_grey(tmp_path: Path) -> None:
    labels = squares(20)
    labels[90:120, 100:130] = 1
    options = MeasureOptions(ObjectOptions(border="exclude"))
    page = page_of(tmp_path, *lot(labels, options=options))
    assert "at the edge, not counted" in page.text
    overlay = pictures(page)[0]
    assert np.ptp(overlay[90, 115].astype(int)) < 30
    assert np.ptp(overlay[40, 15].astype(int)) > 80


def test_gallery_is_of_the_largest_and_files_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fields = []
    for n in range(8):
        labels = squares(3 + n, 20 + n, shape=(960, 1280))
        grey = rng.integers(0, 255, labels.shape, np.uint8)
        fields.append(LabelField(labels, f"f{n}", pixel_size=(10.0, 10.0), grey=grey))
    measured = pool([measure_field(f) for f in fields])
    assert largest_objects(measured, 3) == [(7, 1), (6, 1), (5, 1)]
    path = write_report(tmp_path / "r.html", measured, [ReportField(lambda f=f: f) for f in fields])
    assert path.stat().st_size < 9e6
    content = path.read_text(encoding="utf-8")
    found = re.findall(r"<b>\d+</b> ECD ([\d.]+)", content)
    assert [float(f) for f in found] == sorted(map(float, found), reverse=True)
    assert len(found) == 10


def test_large_batches_show_some_fields_and_say_which(tmp_path: Path) -> None:
    measured, fields = lot(*(squares(3 + n % 7, 5) for n in range(12)), squares(40), squares())
    chosen = chosen_fields(measured, largest_objects(measured, 10), 8)
    assert len(chosen) == 8
    assert {12, 13} <= set(chosen)
    assert "Shown: 8 of 14 fields" in page_of(tmp_path, measured, fields).text


def test_changed_labels_are_found(tmp_path: Path) -> None:
    measured, _ = lot(squares(9, 9))
    other = ReportField(lambda: LabelField(squares(9), "f1"))
    with pytest.raises(InputError, match="have changed since"):
        write_report(tmp_path / "r.html", measured, [other])
    assert not list(tmp_path.iterdir())


def test_trend(tmp_path: Path) -> None:
    measured, _ = lot(*[squares(*SIDES)] * 3)
    for folder in ("lot-A", "lot-B"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "measurement.json").write_text(json.dumps(measured.to_dict()))
    paths = [tmp_path / f / "measurement.json" for f in ("lot-A", "lot-B")]
    page = page_of(tmp_path, measured, (), ReportInfo("now"), paths)
    for words in ("lot-A", "lot-B", "now", "Red: this lot"):
        assert words in page.text
    assert "Trend" not in page_of(tmp_path, measured).text


def test_earlier_file_that_is_none(tmp_path: Path) -> None:
    measured, _ = lot(squares(9))
    (tmp_path / "bad.json").write_text('{"pooled": 3}')
    with pytest.raises(DataError, match=r"bad\.json is not a measurement of an earlier lot \(pooled"):
        write_report(tmp_path / "r.html", measured, earlier=[tmp_path / "bad.json"])
    with pytest.raises(ReadError, match=r"none\.json cannot be read"):
        write_report(tmp_path / "r.html", measured, earlier=[tmp_path / "none.json"])


def test_histogram_bars_add_up() -> None:
    measured, _ = lot(squares(*SIDES))
    for figure in size_histograms(measured):
        bars = [
            (float(h), float(y))
            for y, h in re.findall(r'<rect x="[^"]+" y="([^"]+)".*?height="([^"]+)"', figure)
        ]
        base = {round(h + y, 1) for h, y in bars}
        assert base == {210.0}
        ticks = re.findall(r'y="([\d.]+)" text-anchor="end" fill="#5f6c7b">(\d+)</text>', figure)
        (zero, _), (last, value) = ticks[0], ticks[-1]
        per_percent = (float(zero) - float(last)) / int(value)
        assert sum(h for h, _ in bars) / per_percent == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (0, "0"),
        (0.5567, "0.557"),
        (12.34, "12.3"),
        (999.4, "999"),
        (123456, "123\u202f500"),
        (3.2e-7, "3.20e-07"),
    ],
)
def test_digits(value: float | None, text: str) -> None:
    assert digits(value) == text


def test_other_numbers() -> None:
    assert (percent(0.1234), percent(None)) == ("12.3 %", "\u2013")
    assert (chance(None), chance(0.0004), chance(0.25)) == ("\u2013", "< 0.001", "0.250")
    assert interval((0.1, 0.2), 100) == "10.0 to 20.0"


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 10, 0, 1), [0, 2, 4, 6, 8, 10]),
        (Axis(0, 0.37, 0, 1), [0, 0.1, 0.2, 0.3]),
        (Axis(-3, 3, 0, 1), [-2, 0, 2]),
        (Axis(0.9, 21, 0, 1, log=True), [1, 2, 5, 10, 20]),
        (Axis(0.01, 100, 0, 1, log=True), [0.01, 0.1, 1, 10, 100]),
        (Axis(1.2, 1.9, 0, 1, log=True), [1.2, 1.4, 1.6, 1.8]),
    ],
)
def test_ticks(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == ticks
    assert [axis(v) for v in (axis.low, axis.high, axis.high * 9)] == pytest.approx([0, 1, 1])


def test_long_labels_of_an_axis_have_room() -> None:
    assert left_margin(99.5) == left_margin(9999) == 46
    # Digits are at most 0.6 of the font size wide, and 6 lie between text and axis.
    for high in (112_000.0, 1_120_000.0):
        assert left_margin(high) >= 6 + 0.55 * FONT * len(f"{high:,.0f}")


def test_steps() -> None:
    assert [nice_step(v) for v in (0.7, 1, 1.01, 4, 5.5, 0)] == [1, 1, 2, 5, 10, 1]
