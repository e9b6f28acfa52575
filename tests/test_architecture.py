"""The rooms of the package look only where docs/architecture.md says they may."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_micro_ktnet

PACKAGE = "napari_micro_ktnet"
ROOT = Path(napari_micro_ktnet.__file__).parent
SHELL = frozenset({"gui", "cli", "_cli", "__main__"})
INTERFACE_LIBRARIES = frozenset({"napari", "qtpy", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6"})
NETWORK_LIBRARIES = frozenset({"torch", "torchvision", "segmentation_models_pytorch", "timm"})
CORE = frozenset({"sem", "model", "predict", "training", "measurement", "synthetic"})

# Room -> the rooms that it may import. The shell may import any.
FOUNDATION = frozenset({"errors", "files", "triton_guard"})
MAY_IMPORT = {
    "errors": frozenset(),
    "triton_guard": frozenset(),
    "files": frozenset({"errors"}),
    "sem": FOUNDATION,
    "synthetic": FOUNDATION,
    "measurement": FOUNDATION | {"sem"},
    "model": FOUNDATION,
    "predict": FOUNDATION | {"sem", "model"},
    "training": FOUNDATION | {"sem", "model", "predict", "measurement"},
    "batch": FOUNDATION | CORE,
    "report": FOUNDATION | {"sem", "measurement", "batch"},
    "experiments": FOUNDATION | CORE | {"batch"},
    "demo": FOUNDATION | CORE | {"batch"},
    # The lazy public API.
    "__init__": FOUNDATION | CORE,
}
NETWORK_ROOMS = frozenset({"model", "predict", "training"})

SOURCES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_names(path: Path) -> set[str]:
    """Dotted names that a source file imports anywhere, also inside functions and for type checking."""
    own_package = (PACKAGE, *path.relative_to(ROOT).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = own_package[: len(own_package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


def top_level_imports(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_names(path)}


def imported_rooms(path: Path) -> set[str]:
    """Rooms of this package, other than its own, that a source file imports."""
    parts = [name.split(".") for name in imported_names(path)]
    inner = {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}
    rooms = {name for name in inner if (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()}
    return rooms - {room_of(path)}


def modules_of(room: str) -> list[str]:
    """Every module of a room, by its dotted name."""
    paths = [path for path in SOURCES if room_of(path) == room]
    dotted = [".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)) for path in paths]
    return [name.removesuffix(".__init__") for name in dotted]


def modules_loaded_by(*imports: str) -> set[str]:
    """Top-level names in `sys.modules` of a new interpreter after these imports."""
    lines = ["import sys", *(f"import {name}" for name in imports)]
    lines.append("print(*sorted({name.split('.')[0] for name in sys.modules}))")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_of_package_is_light() -> None:
    loaded = modules_loaded_by(PACKAGE)
    assert PACKAGE in loaded
    assert not loaded & (INTERFACE_LIBRARIES | NETWORK_LIBRARIES)


@pytest.mark.parametrize("room", ["errors", "files", "sem", "synthetic", "measurement", "report"])
def test_rooms_without_network_do_not_load_torch(room: str) -> None:
    modules = modules_of(room)
    assert modules
    assert not modules_loaded_by(*modules) & (INTERFACE_LIBRARIES | NETWORK_LIBRARIES)


def test_rooms_with_network_do_not_load_an_interface() -> None:
    rooms = [room for room in MAY_IMPORT if room in NETWORK_ROOMS | {"batch", "demo", "experiments"}]
    loaded = modules_loaded_by(*(name for room in rooms for name in modules_of(room)))
    assert "torch" in loaded
    assert not loaded & INTERFACE_LIBRARIES


def core_sources() -> list[Path]:
    return [path for path in SOURCES if room_of(path) not in SHELL]


def test_every_room_of_the_core_is_known() -> None:
    new = {room_of(path) for path in core_sources()} - set(MAY_IMPORT)
    assert not new, f"{new}: say here and in docs/architecture.md what a new room may import"


def test_imports_go_in_the_allowed_direction() -> None:
    wrong = {path: imported_rooms(path) - MAY_IMPORT[room_of(path)] for path in core_sources()}
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


def test_core_source_names_no_interface_library() -> None:
    assert [path for path in core_sources() if top_level_imports(path) & INTERFACE_LIBRARIES] == []


def test_only_the_network_rooms_name_torch() -> None:
    others = [path for path in SOURCES if room_of(path) not in NETWORK_ROOMS]
    assert [path for path in others if top_level_imports(path) & NETWORK_LIBRARIES] == []


@pytest.mark.parametrize(
    ("where", "line", "rooms"),
    [
        ("sem/x.py", "from napari_micro_ktnet.gui.layers import a", {"gui"}),
        ("sem/x.py", "from napari_micro_ktnet import gui, __version__", {"gui"}),
        ("sem/x.py", "import napari_micro_ktnet.predict.tiles as t", {"predict"}),
        ("sem/x.py", "def f():\n    from ..model import spec", {"model"}),
        ("sem/vendors/x.py", "from ...errors import ReadError", {"errors"}),
        ("sem/vendors/x.py", "from .. import image\nfrom . import y", set()),
    ],
)
def test_imported_rooms_sees_every_kind_of_import(
    where: str, line: str, rooms: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gui", "model", "predict", "errors", "sem/vendors"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / where
    path.write_text(line)
    assert imported_rooms(path) == rooms
