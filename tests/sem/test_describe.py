"""What people read about an image: known values only, in the units of a microscopist."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from napari_micro_ktnet.sem import DataBar, SEMImage, SEMMetadata
from napari_micro_ktnet.sem.describe import describe, lines, number

PIXELS = np.zeros((40, 60), np.uint8)


def test_an_image_that_says_nothing() -> None:
    description = describe(SEMImage(PIXELS))
    assert json.loads(json.dumps(description)) == description
    assert description["pixel_size_nm"] is None
    assert lines(description) == [("image", "60 x 40 pixels, uint8"), ("data bar", "none")]


@pytest.mark.parametrize(
    ("field", "value", "label", "text"),
    [
        ("accelerating_voltage_v", 5000.0, "voltage", "5 kV"),
        ("accelerating_voltage_v", 500.0, "voltage", "0.5 kV"),
        ("working_distance_m", 0.00503561, "working distance", "5.03561 mm"),
        ("magnification", 250_000.0, "magnification", "250000 x"),
        ("magnification", 1_234_567.0, "magnification", "1234567 x"),
        ("magnification", 188.1884, "magnification", "188.188 x"),
        ("beam_current_a", 5e-11, "beam current", "50 pA"),
        ("beam_current_a", 1.6e-9, "beam current", "1.6 nA"),
        ("beam_current_a", 1e-9, "beam current", "1 nA"),
        ("beam_current_a", 2e-15, "beam current", "0.002 pA"),
        ("beam_current_a", 0.0, "beam current", "0 A"),
        ("stage_tilt_deg", -4.4e-05, "stage tilt", "0 degrees"),
        ("stage_tilt_deg", -52.0, "stage tilt", "-52 degrees"),
        ("dwell_s", 1e-6, "dwell time", "1 us"),
        ("dwell_s", 3e-4, "dwell time", "300 us"),
        ("acquired", datetime(2017, 3, 3, 16, 22, 50), "acquired", "2017-03-03 16:22:50"),
    ],
)
def test_units(field: str, value: object, label: str, text: str) -> None:
    image = SEMImage(PIXELS, metadata=SEMMetadata(**{field: value}))  # type: ignore[arg-type]
    assert dict(lines(describe(image)))[label] == text


def test_stack_and_bar() -> None:
    image = SEMImage(np.zeros((3, 40, 60), np.uint16), data_bar=DataBar(30, 38, "pixels"))
    shown = dict(lines(describe(image)))
    assert shown["image"] == "60 x 40 pixels, 3 slices, uint16"
    assert shown["data bar"] == "last 10 rows (pixels)"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456789, "0.123457"), (99_999.4, "99999.4"), (1e15, "1e+15")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text
