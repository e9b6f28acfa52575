"""What a measurement says, in the form in which it is written to disk."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from napari_micro_ktnet.measurement.verdict import Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Percentiles(_Frozen):
    """D10, D50, D90 and ``span = (D90 - D10) / D50``; None without objects."""

    d10: float | None
    d50: float | None
    d90: float | None
    span: float | None


class Sizes(_Frozen):
    """Distribution of ECD by number and by area, and the largest of the objects that count."""

    number: Percentiles
    area: Percentiles
    max: float | None


class SizeClass(_Frozen):
    """Objects with ``low <= ECD < high``.

    Attributes
    ----------
    low, high : float
        Limits; in um, or in px without a pixel size.
    count : float
        Objects (sum of their weights).
    count_per_mm2 : float or None
        None without a pixel size.
    area_percent : float
        Of the analysed area.
    cumulative_count_percent, cumulative_area_percent : float
        Of all objects that count, up to and with this class.
    """

    low: float
    high: float
    count: float
    count_per_mm2: float | None
    area_percent: float
    cumulative_count_percent: float
    cumulative_area_percent: float


class AgglomerateDegree(_Frozen):
    """What lies above the size d*: share of the objects' area (0..1), count, count per mm2."""

    d_star_um: float
    area_share: float | None
    count: float
    count_per_mm2: float


class Largest(_Frozen):
    """The object of the largest area, border objects included; at the border it is larger than that.

    Of fields of known pixel size, where there are any.
    """

    field: str
    object: int
    ecd_um: float | None
    feret_max_um: float | None
    ecd_px: float
    at_border: bool


class ClarkEvansRecord(_Frozen):
    """See `dispersion.ClarkEvans`."""

    r: float | None
    p: float | None
    n: int


class Summary(_Frozen):
    """What is said of one field, and of all together.

    Attributes
    ----------
    count : int
        Objects that count under the border rule.
    border_count : int
        Objects that touch the edge of the analysed region.
    area_fraction : float
        Share of the analysed area in objects, those at the border included; 0..1.
    number_density_per_mm2 : float or None
        Weighted count over analysed area; None without a pixel size.
    analysed_px : int
        Pixels of the analysed region.
    analysed_mm2 : float or None
        Its area.
    ecd_um, ecd_px : Sizes or None
        None where pixel sizes are not known, or differ.
    agglomerate_degree : AgglomerateDegree or None
        None without a pixel size.
    clark_evans : ClarkEvansRecord
        All objects, those at the border included.
    largest : Largest or None
        None without objects.
    size_classes : tuple of SizeClass
        At round numbers; in um, else in px.
    warnings : tuple of str
        What a reader must know.
    """

    count: int
    border_count: int
    area_fraction: float
    number_density_per_mm2: float | None
    analysed_px: int
    analysed_mm2: float | None
    ecd_um: Sizes | None
    ecd_px: Sizes | None
    agglomerate_degree: AgglomerateDegree | None
    clark_evans: ClarkEvansRecord
    largest: Largest | None
    size_classes: tuple[SizeClass, ...]
    warnings: tuple[str, ...]


class RipleyRecord(_Frozen):
    """See `dispersion.Ripley`; lengths in um, or in px without a pixel size."""

    unit: Literal["um", "px"]
    r: tuple[float, ...]
    l: tuple[float, ...]  # noqa: E741
    low: tuple[float, ...]
    high: tuple[float, ...]
    p: float
    simulations: int


class FieldSummary(Summary):
    """One field of view.

    Attributes
    ----------
    name, file : str
        File is empty where the labels came from memory.
    pixel_size_nm : tuple of float or None
        ``(y, x)``.
    rows, columns : tuple of int
        ``[first, last)`` around the analysed region.
    ripley : RipleyRecord or None
        None if it was not asked for, or there are too few objects.
    """

    name: str
    file: str
    pixel_size_nm: tuple[float, float] | None
    rows: tuple[int, int]
    columns: tuple[int, int]
    ripley: RipleyRecord | None = None


class ScatterRecord(_Frozen):
    """See `dispersion.Scatter`."""

    n: int
    mean: float | None
    sd: float | None
    cv: float | None


class FieldScatter(_Frozen):
    """Scatter between fields; the density is None where a pixel size is not known."""

    area_fraction: ScatterRecord
    number_density_per_mm2: ScatterRecord | None


class Confidence(_Frozen):
    """Limits at 95 % from a bootstrap over fields.

    Attributes
    ----------
    fields : int
        How many there are.
    reason : str
        Why there are no limits; empty where there are.
    intervals : dict
        ``[low, high]`` by figure, such as ``ecd_um.number.d50``; None where one is undefined.
    """

    fields: int
    reason: str
    intervals: dict[str, tuple[float, float] | None]


class PooledSummary(Summary):
    """All fields together."""

    fields: int
    scatter: FieldScatter
    confidence: Confidence


class MagnificationGroup(_Frozen):
    """Fields of one magnification, where there are several.

    Attributes
    ----------
    pixel_sizes_nm : tuple of float or None
        Smallest and largest; None for the fields whose pixel size is not known.
    fields : tuple of int
        Their places in `MeasurementRecord.fields`, from 0.
    pooled : PooledSummary
        They alone.
    """

    pixel_sizes_nm: tuple[float, float] | None
    fields: tuple[int, ...]
    pooled: PooledSummary


class MeasurementRecord(_Frozen):
    """What is written as JSON; `groups` is empty where all fields have the same magnification."""

    schema_version: Literal[1] = 1
    parameters: dict[str, Any]
    fields: tuple[FieldSummary, ...]
    pooled: PooledSummary
    groups: tuple[MagnificationGroup, ...] = ()
    verdict: Verdict | None = None
    versions: dict[str, str]
