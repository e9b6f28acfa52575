"""What a synthetic scene is made of: every knob, its unit and its range."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from napari_micro_ktnet.errors import InputError

Matrix = Literal["smooth", "fibrous", "lamellar", "spherulitic", "granular", "dark_support", "membrane"]
MATRICES: tuple[str, ...] = get_args(Matrix)

_RANGES: dict[str, tuple[float, float]] = {
    "matrix_level": (0.0, 1.0),
    "matrix_texture": (0.0, 1.0),
    "matrix_scale_px": (0.5, 100.0),
    "area_fraction": (0.0, 0.7),
    "ecd_median_px": (2.0, 1000.0),
    "ecd_sigma": (0.0, 2.0),
    "ecd_min_px": (2.0, 1000.0),
    "ecd_max_px": (2.0, 2000.0),
    "primary_px": (1.0, 400.0),
    "primary_sigma": (0.0, 1.0),
    "compactness": (0.0, 1.0),
    "angularity": (0.0, 1.0),
    "irregularity": (0.0, 1.0),
    "particle_level": (0.0, 2.0),
    "particle_spread": (0.0, 1.0),
    "edge_brightening": (0.0, 3.0),
    "lighting_azimuth_deg": (-360.0, 360.0),
    "lighting_strength": (0.0, 1.0),
    "occlusion": (0.0, 2.0),
    "shadow": (0.0, 2.0),
    "embedded_fraction": (0.0, 1.0),
    "clustering": (0.0, 1.0),
    "glow": (0.0, 1.0),
    "holes": (0.0, 5000.0),
    "cracks": (0.0, 500.0),
    "scratches": (0.0, 500.0),
    "craters": (0.0, 500.0),
    "patches": (0.0, 500.0),
    "fibres": (0.0, 500.0),
    "blur_px": (0.0, 20.0),
    "dose": (1.0, 1e9),
    "detector_noise": (0.0, 1.0),
    "noise_correlation_px": (0.0, 5.0),
    "drift": (0.0, 1.0),
    "mottling": (0.0, 1.0),
    "charging": (0.0, 1.0),
    "jitter_px": (0.0, 5.0),
    "contrast": (0.05, 5.0),
    "brightness": (-1.0, 1.0),
    "gamma": (0.2, 5.0),
    "pixel_size_nm": (0.01, 100000.0),
}


@dataclass(frozen=True)
class SceneSpec:
    """A synthetic SEM scene; grey levels are fractions of the detector's white (1.0 = 255).

    Parameters
    ----------
    matrix
        Kind of ground: a polymer (``smooth``, ``fibrous``, ``lamellar``, ``spherulitic``, ``granular``) or
        what powders are laid on (``dark_support``, ``membrane`` with pores).
    matrix_level
        Mean grey level of the ground, 0..1.
    matrix_texture
        Standard deviation of the ground's texture, grey levels 0..1.
    matrix_scale_px
        Width of the texture's grains, lamellae, fibres or pores, px.
    area_fraction
        Wanted share of the analysed rows that agglomerates cover, 0..0.7.
    ecd_median_px, ecd_sigma, ecd_min_px, ecd_max_px
        Log-normal distribution (by number) of the agglomerates' equivalent circular diameter: median in px,
        standard deviation of ln(ECD), and the limits of the drawn values in px.
    primary_px, primary_sigma
        Median diameter of the primary particles in px, and the standard deviation of its logarithm.
    compactness
        0 = loose fractal chains, 1 = dense cauliflower heaps.
    angularity
        0 = ellipsoidal primary particles, 1 = blocky crystals.
    irregularity
        Departure of the particles' outlines from ideal bodies, 0..1 (no effect on particles of a few px).
    particle_level
        Mean grey level of the agglomerates, 0..2 (near 1 and above they saturate).
    particle_spread
        Standard deviation of ln(brightness) from agglomerate to agglomerate.
    edge_brightening
        Strength of the bright rims (secondary electrons, about 1 / cos of the tilt).
    lighting_azimuth_deg, lighting_strength
        Where the detector sits (0 = right, 90 = top of the image, degrees) and how much that matters, 0..1.
    occlusion
        Depth shading inside agglomerates, 0..2: crevices and the flanks of heaps become dark.
    shadow
        Darkness of the halo that agglomerates throw on the ground, 0..2.
    embedded_fraction
        Share of agglomerates (by number) that lie under a skin of matrix: low contrast, smooth.
    clustering
        Share of agglomerates placed next to another one, 0..1.
    glow
        Bright halo around agglomerates (charging of the ground), grey levels 0..1.
    holes, cracks, scratches, craters, patches, fibres
        Numbers per megapixel of what is *not* an agglomerate: dark pits, dark cracks, bright lines, smooth
        rimmed craters, soft bright patches, long rods.
    blur_px
        Standard deviation of the defocus blur, px.
    dose
        Electrons a pixel at grey level 1 (shot noise).
    detector_noise
        Standard deviation of additive noise, grey levels.
    noise_correlation_px
        Standard deviation of the smoothing of the noise (line averaging, resampling), px.
    drift, mottling
        Relative brightness change over the field: linear gradient, and low-frequency noise.
    charging
        Strength of horizontal streaks behind bright agglomerates and of uneven lines, 0..1.
    jitter_px
        Standard deviation of the horizontal shift of a scan line, px.
    contrast, brightness, gamma
        Final ``((x - 0.5) * contrast + 0.5 + brightness) ** gamma``.
    data_bar
        Whether the lowest rows show an instrument's data bar instead of the sample.
    caption
        Whether text and a scale bar are burnt into the picture, over the sample. The truth is what lies
        below them.
    pixel_size_nm
        Edge of a pixel, nm.

    Raises
    ------
    InputError
        If a value is not a finite number in its range, or the ECD limits contradict each other.
    """

    matrix: Matrix = "smooth"
    matrix_level: float = 0.38
    matrix_texture: float = 0.03
    matrix_scale_px: float = 2.0
    area_fraction: float = 0.12
    ecd_median_px: float = 22.0
    ecd_sigma: float = 0.8
    ecd_min_px: float = 4.0
    ecd_max_px: float = 240.0
    primary_px: float = 9.0
    primary_sigma: float = 0.25
    compactness: float = 0.7
    angularity: float = 0.2
    irregularity: float = 0.5
    particle_level: float = 0.68
    particle_spread: float = 0.15
    edge_brightening: float = 0.6
    lighting_azimuth_deg: float = 110.0
    lighting_strength: float = 0.4
    occlusion: float = 0.7
    shadow: float = 0.4
    embedded_fraction: float = 0.1
    clustering: float = 0.3
    glow: float = 0.0
    holes: float = 0.0
    cracks: float = 0.0
    scratches: float = 0.0
    craters: float = 0.0
    patches: float = 0.0
    fibres: float = 0.0
    blur_px: float = 0.6
    dose: float = 250.0
    detector_noise: float = 0.01
    noise_correlation_px: float = 0.4
    drift: float = 0.05
    mottling: float = 0.04
    charging: float = 0.0
    jitter_px: float = 0.1
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0
    data_bar: bool = False
    caption: bool = False
    pixel_size_nm: float = 20.0

    def __post_init__(self) -> None:
        if self.matrix not in MATRICES:
            raise InputError(f"matrix is {self.matrix!r}; choose one of {', '.join(MATRICES)}.")
        for name in ("data_bar", "caption"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; expected True or False.")
        for field in fields(self):
            if field.name in _RANGES:
                self._check_range(field.name)
        if not self.ecd_min_px <= self.ecd_median_px <= self.ecd_max_px:
            raise InputError(
                f"ecd_min_px, ecd_median_px, ecd_max_px are {self.ecd_min_px}, {self.ecd_median_px}, "
                f"{self.ecd_max_px}; they must not decrease."
            )

    def _check_range(self, name: str) -> None:
        low, high = _RANGES[name]
        value = getattr(self, name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise InputError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")
