"""Random scenes, far apart on purpose: what is learnt on them has to hold for laboratories never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.synthetic.spec import MATRICES, SceneSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

# Share of the scenes without a data bar.
_CAPTIONS = 0.15
_POLYMERS = ("smooth", "fibrous", "lamellar", "spherulitic", "granular")


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _uni(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _maybe(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    return _log(rng, low, high) if rng.random() < chance else 0.0


def _optics(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "edge_brightening": _uni(rng, 0.1, 1.3),
        "lighting_azimuth_deg": _uni(rng, 0, 360),
        "lighting_strength": _uni(rng, 0.0, 0.8),
        "blur_px": _uni(rng, 0.3, 1.3),
        "dose": _log(rng, 25, 2000),
        "detector_noise": _uni(rng, 0, 0.03),
        "noise_correlation_px": _uni(rng, 0, 0.8),
        "drift": _uni(rng, 0, 0.15),
        "mottling": _uni(rng, 0, 0.08),
        "charging": _maybe(rng, 0.25, 0.05, 0.5),
        "jitter_px": _uni(rng, 0, 0.3),
        "contrast": _uni(rng, 0.75, 1.3),
        "brightness": _uni(rng, -0.06, 0.06),
        "gamma": _log(rng, 0.8, 1.25),
        "data_bar": bool(rng.random() < 0.1),
        "pixel_size_nm": _log(rng, 1, 200),
    }


def _sizes(rng: np.random.Generator, median: float, primary: float) -> dict[str, Any]:
    return {
        "ecd_median_px": max(4.0, median),
        "ecd_sigma": _uni(rng, 0.4, 1.1),
        "ecd_min_px": 4.0,
        "ecd_max_px": _log(rng, max(60.0, 2.0 * median), 430),
        "primary_px": primary,
        "primary_sigma": _uni(rng, 0.08, 0.45),
        "particle_spread": _uni(rng, 0.03, 0.3),
        "clustering": _uni(rng, 0, 0.7),
    }


def _polymer(rng: np.random.Generator) -> dict[str, Any]:
    matrix = rng.choice(_POLYMERS, p=(0.2, 0.2, 0.3, 0.15, 0.15))
    scale = _log(rng, *{"lamellar": (2.5, 8.0), "spherulitic": (1.2, 2.5)}.get(str(matrix), (1.2, 4.0)))
    loud = matrix in ("lamellar", "spherulitic") or (matrix == "fibrous" and rng.random() < 0.3)
    texture = (0.012, 0.06) if not loud else (0.05, 0.2) if matrix == "lamellar" else (0.05, 0.13)
    dilute = rng.random() < 0.4
    values: dict[str, Any] = {
        "matrix": str(matrix),
        "matrix_level": _uni(rng, 0.27, 0.5),
        "matrix_texture": _log(rng, *texture),
        "matrix_scale_px": scale,
        "area_fraction": _log(rng, 0.003, 0.05) if dilute else _uni(rng, 0.05, 0.32),
        "compactness": _uni(rng, 0.6, 1.0),
        "angularity": _uni(rng, 0, 0.7),
        "irregularity": _uni(rng, 0.2, 1.0),
        "particle_level": _uni(rng, 0.52, 0.95),
        "occlusion": _uni(rng, 0.2, 1.0),
        "shadow": _uni(rng, 0, 0.7),
        "embedded_fraction": _uni(rng, 0, 0.3),
        "glow": _maybe(rng, 0.35, 0.02, 0.25),
        "holes": _maybe(rng, 0.45, 5, 200),
        "cracks": _maybe(rng, 0.35, 2, 60),
        "scratches": _maybe(rng, 0.3, 2, 50),
        "craters": _maybe(rng, 0.55, 2, 30),
        "patches": _maybe(rng, 0.5, 3, 60),
        "fibres": _maybe(rng, 0.12, 1, 12),
    }
    values["particle_level"] = max(values["particle_level"], values["matrix_level"] + 0.2)
    return values | _sizes(rng, _log(rng, 6, 45), _log(rng, 3.5, 18))


def _support(rng: np.random.Generator) -> dict[str, Any]:
    matrix = rng.choice(("dark_support", "membrane", "granular", "smooth"), p=(0.6, 0.14, 0.13, 0.13))
    level = _uni(rng, 0.02, 0.4) if rng.random() < 0.75 else _uni(rng, 0.02, 0.12)
    primary = _log(rng, 3, 60)
    heaps = rng.random() < 0.45
    median = primary * _log(rng, 1.2, 8.0) if heaps else primary * _log(rng, 0.9, 3.0)
    values: dict[str, Any] = {
        "matrix": str(matrix),
        "matrix_level": level,
        "matrix_texture": level * _log(rng, 0.03, 0.35),
        "matrix_scale_px": _log(rng, 1.2, 10),
        "area_fraction": _uni(rng, 0.12, 0.5) if heaps else _log(rng, 0.01, 0.2),
        "compactness": _uni(rng, 0, 1.0),
        "angularity": _uni(rng, 0, 1.0),
        "irregularity": _uni(rng, 0.0, 0.9) if rng.random() < 0.7 else 0.0,
        "particle_level": level + _uni(rng, 0.2, 0.6),
        "occlusion": _uni(rng, 0.5, 1.8),
        "shadow": _uni(rng, 0, 1.2),
        "embedded_fraction": 0.0,
        "glow": _maybe(rng, 0.25, 0.02, 0.12),
        "holes": _maybe(rng, 0.15, 5, 80),
        "scratches": _maybe(rng, 0.2, 1, 20),
        "craters": _maybe(rng, 0.1, 1, 10),
        "patches": _maybe(rng, 0.3, 2, 40),
        "fibres": _maybe(rng, 0.1, 1, 8),
    }
    values |= _sizes(rng, min(median, 200.0), primary)
    return values | {"dose_scale": _log(rng, 0.15, 1.0), "data_bar": bool(rng.random() < 0.35)}


def _wild(rng: np.random.Generator) -> dict[str, Any]:
    values = _polymer(rng) if rng.random() < 0.5 else _support(rng)
    level = _uni(rng, 0.03, 0.75)
    primary = _log(rng, 2.5, 60)
    values |= _sizes(rng, min(200.0, primary * _log(rng, 1.0, 8.0)), primary)
    values |= {
        "matrix": str(rng.choice(MATRICES)),
        "matrix_level": level,
        "matrix_texture": _log(rng, 0.01, 0.15),
        "matrix_scale_px": _log(rng, 0.8, 15),
        "area_fraction": 0.0 if rng.random() < 0.17 else _log(rng, 0.005, 0.5),
        "compactness": _uni(rng, 0, 1),
        "angularity": _uni(rng, 0, 1),
        "irregularity": _uni(rng, 0, 1),
        "particle_level": level + _uni(rng, 0.1, 0.6),
        "occlusion": _uni(rng, 0, 1.6),
        "shadow": _uni(rng, 0, 1.5),
        "embedded_fraction": _maybe(rng, 0.4, 0.05, 0.6),
        "glow": _maybe(rng, 0.3, 0.02, 0.3),
        "holes": _maybe(rng, 0.4, 5, 500),
        "cracks": _maybe(rng, 0.3, 2, 80),
        "scratches": _maybe(rng, 0.3, 2, 80),
        "craters": _maybe(rng, 0.3, 2, 40),
        "patches": _maybe(rng, 0.4, 2, 80),
        "fibres": _maybe(rng, 0.2, 1, 20),
    }
    return values


def _wild_optics(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "edge_brightening": _uni(rng, 0, 1.8),
        "lighting_strength": _uni(rng, 0, 1),
        "blur_px": _uni(rng, 0, 2.5),
        "dose": _log(rng, 6, 3000),
        "detector_noise": _uni(rng, 0, 0.08),
        "noise_correlation_px": _uni(rng, 0, 1.5),
        "drift": _uni(rng, 0, 0.5),
        "mottling": _uni(rng, 0, 0.25),
        "charging": _maybe(rng, 0.4, 0.05, 1.0),
        "jitter_px": _uni(rng, 0, 0.8),
        "contrast": _log(rng, 0.35, 1.7),
        "brightness": _uni(rng, -0.2, 0.2),
        "gamma": _log(rng, 0.5, 2.0),
        "data_bar": bool(rng.random() < 0.2),
    }


def _spec(values: Mapping[str, Any]) -> SceneSpec:
    merged = dict(values)
    merged["dose"] = max(4.0, merged["dose"] * merged.pop("dose_scale", 1.0))
    merged["ecd_max_px"] = max(merged["ecd_max_px"], merged["ecd_median_px"])
    return SceneSpec(**merged)


def powder_scene(rng: np.random.Generator) -> SceneSpec:
    """Draw a powder on a support, without a caption; the same state of `rng` gives the same scene."""
    return _spec(_optics(rng) | _support(rng))


def random_scene(rng: np.random.Generator) -> SceneSpec:
    """Draw a scene: 35 % polymer fields, 35 % powders on a support, 30 % anything.

    Parameters
    ----------
    rng
        Source of the random draws; the same state gives the same scene.

    Returns
    -------
    SceneSpec
    """
    family = rng.random()
    if family < 0.35:
        values = _optics(rng) | _polymer(rng)
    elif family < 0.70:
        values = _optics(rng) | _support(rng)
    else:
        values = _optics(rng) | _wild(rng) | _wild_optics(rng)
    values["caption"] = bool(not values["data_bar"] and rng.random() < _CAPTIONS)
    return _spec(values)
