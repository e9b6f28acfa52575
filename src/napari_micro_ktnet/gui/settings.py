"""What a user set for this plugin in napari's preferences."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from napari_micro_ktnet.model.cache import CACHE_VARIABLE

_PLUGIN = "napari-micro-ktnet"
# What the environment said before the preferences did.
_replaced: dict[str, str] = {}


def preferred_device() -> str:
    """Device that the Segment widget starts with."""
    return _setting("device", "auto")


def apply_cache_folder() -> None:
    """Make the cache folder of the preferences hold; where there is none, what the environment names."""
    folder = _setting("cache_folder", "")
    # In the environment, because trainings run in processes of their own.
    if folder:
        _replaced.setdefault(CACHE_VARIABLE, os.environ.get(CACHE_VARIABLE, ""))
        os.environ[CACHE_VARIABLE] = folder
    elif CACHE_VARIABLE in _replaced:
        os.environ[CACHE_VARIABLE] = _replaced.pop(CACHE_VARIABLE)


def devices() -> list[str]:
    """Names of the devices worth offering, found without importing torch."""
    found = ["auto", "cpu"]
    if sys.platform == "darwin":
        found.append("mps")
    elif shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists():
        found.append("cuda")
    preferred = preferred_device()
    return found if preferred in found else [*found, preferred]


def _setting(key: str, default: str) -> str:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9 has no settings of plugins
        return default
    try:
        return str(getattr(get_plugin_settings(_PLUGIN).general, key))
    except KeyError:  # the plugin is used without being installed as one
        return default
