"""Check the built wheel: what is in it, how big it is, and that it works in an environment without Qt.

    python scripts/check_wheel.py DIST

installs the one wheel of the folder DIST into a new virtual environment beside DIST, with the `uv`
that is on the PATH.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGE = "napari_micro_ktnet"
REQUIRED = (
    "napari.yaml",
    "py.typed",
    "model/starter/starter.safetensors",
    "model/starter/model_card.md",
)
MAX_BYTES = 20_000_000
QT_BINDINGS = ("PyQt5", "PyQt6", "PySide2", "PySide6")

IMPORT_CHECK = f"""
import importlib.util, sys
import {PACKAGE}
heavy = sorted({{"torch", "qtpy", "napari", "magicgui"}} & set(sys.modules))
assert not heavy, f"import {PACKAGE} has loaded {{heavy}}"
found = [name for name in {QT_BINDINGS!r} if importlib.util.find_spec(name)]
assert not found, f"the base dependencies have brought {{found}}"
assert "site-packages" in {PACKAGE}.__file__, {PACKAGE}.__file__
for name in {PACKAGE}.__all__:
    getattr({PACKAGE}, name)
print({PACKAGE}.__version__, "imported without Qt")
"""


def check_contents(wheel: Path) -> list[str]:
    """Return what is wrong with the files in `wheel`, a line each."""
    problems = []
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    problems += [
        f"{wheel.name} lacks {PACKAGE}/{name}" for name in REQUIRED if f"{PACKAGE}/{name}" not in names
    ]
    strangers = {name.split("/")[0] for name in names} - {PACKAGE}
    problems += [
        f"{wheel.name} holds {name}" for name in sorted(strangers) if not name.endswith(".dist-info")
    ]
    size = wheel.stat().st_size
    if size >= MAX_BYTES:
        problems.append(f"{wheel.name} has {size} bytes, expected fewer than {MAX_BYTES}")
    return problems


def check_install(wheel: Path, environment: Path) -> None:
    """Install `wheel` without extras into the new `environment` and use it there."""
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(programs / "python")
    for command in (
        ["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        ["uv", "pip", "install", "--quiet", "--python", python, str(wheel)],
        # The working directory of a checkout must not stand in for the installed package: -P.
        [python, "-P", "-c", IMPORT_CHECK],
        [str(programs / "micro-ktnet"), "--help"],
        [str(programs / "micro-ktnet"), "models", "list"],
        [str(programs / "npe2"), "validate", "napari-micro-ktnet"],
    ):
        print("$", *command[:1], *(part if "\n" not in part else "..." for part in command[1:]), flush=True)
        subprocess.run(command, check=True)  # noqa: S603


def main() -> int:
    """Check the wheel named by the folder on the command line."""
    dist = Path(sys.argv[1])
    (wheel,) = dist.glob("*.whl")
    problems = check_contents(wheel)
    for problem in problems:
        print("ERROR:", problem)
    check_install(wheel, dist.parent / "wheel-env")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
