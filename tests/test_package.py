"""What an installation brings: metadata, manifest, typing marker, licences, console command."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, metadata
from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_micro_ktnet

NAME = "napari-micro-ktnet"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution(NAME)


def test_version_is_that_of_the_distribution() -> None:
    assert napari_micro_ktnet.__version__ == metadata(NAME)["Version"]


def test_public_names_resolve() -> None:
    assert set(dir(napari_micro_ktnet)) == set(napari_micro_ktnet.__all__)
    for name in napari_micro_ktnet.__all__:
        assert getattr(napari_micro_ktnet, name) is not None


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        napari_micro_ktnet.no_such_name  # noqa: B018


def test_typing_marker_is_installed() -> None:
    assert files("napari_micro_ktnet").joinpath("py.typed").is_file()


def test_base_dependencies_name_no_qt_binding() -> None:
    base = [line for line in distribution(NAME).requires or [] if "extra ==" not in line]
    assert base
    assert not [line for line in base if any(word in line.lower() for word in ("pyqt", "pyside", "[all]"))]


def test_dependencies_have_lower_bounds_and_no_upper_ones() -> None:
    base = [line for line in distribution(NAME).requires or [] if "extra ==" not in line]
    assert not [line for line in base if ">=" not in line or "<" in line or "==" in line]


def test_manifest_is_valid(manifest: PluginManifest) -> None:
    assert manifest.name == NAME
    assert manifest.display_name == "Micro-KTNet"
    assert manifest.schema_version == "0.3.0"
    manifest.validate_imports()


def test_manifest_ids_start_with_the_name_of_the_package(manifest: PluginManifest) -> None:
    ids = [command.id for command in manifest.contributions.commands or []]
    assert ids
    assert all(identifier.startswith(f"{NAME}.") for identifier in ids)
    assert len(set(ids)) == len(ids)


def test_manifest_contributes_widget_reader_writer_and_sample(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    assert "Segment" in {widget.display_name for widget in contributions.widgets or []}
    assert contributions.readers
    assert contributions.writers
    assert contributions.sample_data


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--version"], napari_micro_ktnet.__version__),
        (["--help"], "segment"),
        (["segment", "--help"], "--output"),
    ],
)
def test_console_command_responds(arguments: list[str], expected: str) -> None:
    command = Path(sys.executable).parent / "micro-ktnet"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
