"""Where Mesa has loaded its LLVM, no module of ours lets torch load another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from napari_micro_ktnet import triton_guard
triton_guard._MAPS = Path(sys.argv[1])
__import__(sys.argv[2])
assert "torch" in sys.modules
print(sys.modules.get("triton", "not loaded"))
"""


@pytest.mark.parametrize("module", ["training.folders", "model.network", "predict.inference", "experiments"])
def test_importing_a_module_after_drawing(module: str, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 08:01 42 /usr/lib/x86_64-linux-gnu/libLLVM.so.18.1\n")
    command = [sys.executable, "-c", SCRIPT, str(maps), f"napari_micro_ktnet.{module}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "None"
