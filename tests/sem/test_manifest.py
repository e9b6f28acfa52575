"""Every real file against the values that its makers or an independent reading give."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem import read_sem

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    "zeiss/odemis_zeiss_example_sem.tif",
    "zeiss/ks00x_merlin_nobar.tif",
    "zeiss/nist_ti64_rgb_grey.tif",
    "zeiss_orion_him/nexuslims_orion_65000_rgba.tif",
    "fibics/nexuslims_orion_fibics_51023.tif",
    "fei/skan_teneo_inf1.tif",
    "fei/skan_teneo_retic.tif",
    "fei/nexuslims_quanta_feg_lfd.tif",
    "fei/nexuslims_quanta_16bit_res00.tif",
    "fei/nexuslims_scios2_3k_multigis.tif",
    "fei/fibsem_heliosG4_ion_xml.tif",
    "tescan/odemis_mira3_16bit.tif",
    "tescan/nexuslims_amberx_16bit.tif",
    "jeol/odemis_jeol_4700F_nobar.tif",
    "hitachi/rickgummy_hitachi_nosidecar.tif",
    "openfibsem/odemis_fibsemos_json.tif",
    "control/nasa_ebc1_rgb_grey_noscale.tif",
]
BROKEN = ["broken/nexuslims_quanta_shifted_bytes.tif", "broken/nexuslims_quanta_truncated.tif"]
ESTIMATED = ["jeol/odemis_jeol_4700F_nobar.tif"]
BAR_IN_PIXELS = ["zeiss/odemis_zeiss_example_sem.tif"]
NUMBERS = [
    ("hv_v", "accelerating_voltage_v", 0.0),
    ("wd_m", "working_distance_m", 0.0),
    ("magnification", "magnification", 0.0),
    ("beam_current_a", "beam_current_a", 0.0),
    ("stage_tilt_deg", "stage_tilt_deg", 1e-4),
]


@pytest.fixture(scope="module")
def manifest(shared_data: Path) -> dict[str, dict[str, str]]:
    with (shared_data / "sem_files" / "MANIFEST.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_all_are_tested(manifest: dict[str, dict[str, str]]) -> None:
    assert set(manifest) == {*FILES, *BROKEN}


@pytest.mark.parametrize("name", FILES)
def test_scale_and_bar(shared_data: Path, manifest: dict[str, dict[str, str]], name: str) -> None:
    image, row = read_sem(shared_data / "sem_files" / name), manifest[name]
    assert (image.width, image.height) == (int(row["width"]), int(row["height"]))
    assert image.pixels.dtype == row["dtype"]
    if row["pixel_size_x_m"]:
        expected = float(row["pixel_size_y_m"]) * 1e9, float(row["pixel_size_x_m"]) * 1e9
        assert image.pixel_size == pytest.approx(expected, rel=1e-3)
        assert image.pixel_size_source == ("estimated" if name in ESTIMATED else "metadata")
    else:
        assert image.pixel_size is None
        assert image.pixel_size_source == "none"
    tolerance = 2 if name in BAR_IN_PIXELS else 0
    assert abs(image.data_bar_rows - int(row["databar_px"])) <= tolerance


@pytest.mark.parametrize("name", FILES)
def test_conditions(shared_data: Path, manifest: dict[str, dict[str, str]], name: str) -> None:
    found, row = read_sem(shared_data / "sem_files" / name).metadata, manifest[name]
    for column, field, tolerance in NUMBERS:
        if row[column]:
            assert getattr(found, field) == pytest.approx(float(row[column]), rel=1e-3, abs=tolerance), field
    if row["detector"]:
        assert found.detector == row["detector"]
    if row["beam"]:
        assert found.beam == ("electron" if row["beam"] == "electron" else "ion")
    if row["datetime"]:
        assert found.acquired is not None
        local = found.acquired.replace(tzinfo=None, microsecond=0)
        assert local == datetime.fromisoformat(row["datetime"])


@pytest.mark.parametrize("name", BROKEN)
def test_broken(shared_data: Path, name: str) -> None:
    with pytest.raises(ReadError, match=name.partition("/")[2]):
        read_sem(shared_data / "sem_files" / name)
