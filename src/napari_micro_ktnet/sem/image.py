"""What the rest of the package knows about a SEM image."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

PixelSizeSource = Literal["metadata", "estimated", "user", "none"]
BarSource = Literal["metadata", "pixels"]
Beam = Literal["electron", "ion"]


@dataclass(frozen=True)
class SEMMetadata:
    """Acquisition conditions, as far as the file gives them; what it does not give is None.

    Attributes
    ----------
    vendor : str or None
        Name of the dialect that the file is written in.
    instrument : str or None
        Model or serial name of the microscope.
    detector : str or None
        Detector name in the vendor's own words.
    beam : {"electron", "ion"} or None
        Which beam made the image.
    accelerating_voltage_v : float or None
        Accelerating voltage in volts.
    working_distance_m : float or None
        Working distance in metres.
    magnification : float or None
        Magnification as the vendor states it (it refers to a vendor-specific print or screen size).
    beam_current_a : float or None
        Beam current in amperes.
    stage_tilt_deg : float or None
        Stage tilt in degrees.
    dwell_s : float or None
        Dwell time per pixel in seconds.
    acquired : datetime or None
        Local time of the instrument, without time zone unless the file gives one.
    raw : Mapping[str, str]
        Every key of the vendor with its text, verbatim.
    """

    vendor: str | None = None
    instrument: str | None = None
    detector: str | None = None
    beam: Beam | None = None
    accelerating_voltage_v: float | None = None
    working_distance_m: float | None = None
    magnification: float | None = None
    beam_current_a: float | None = None
    stage_tilt_deg: float | None = None
    dwell_s: float | None = None
    acquired: datetime | None = None
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw", MappingProxyType(dict(self.raw)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and images travel between processes.
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return _metadata_from, ({**values, "raw": dict(self.raw)},)


def _metadata_from(values: dict[str, Any]) -> SEMMetadata:
    return SEMMetadata(**values)


@dataclass(frozen=True)
class DataBar:
    """Band of rows with burnt-in text under the image.

    Attributes
    ----------
    top, bottom : int
        The bar covers the rows ``[top, bottom)``. Image rows may follow below a floating bar.
    source : {"metadata", "pixels"}
        Whether the file says so or it was found in the pixels.
    """

    top: int
    bottom: int
    source: BarSource


@dataclass(frozen=True, eq=False)
class SEMImage:
    """One SEM image, or a stack of them, with what its file says about it.

    Attributes
    ----------
    pixels : ndarray
        ``(Y, X)``; ``(Z, Y, X)`` for a stack; ``(Y, X, 3)`` or ``(Y, X, 4)`` where `rgb` is True.
        The dtype is the file's. A dask array of the same values where the file is read on demand.
    pixel_size : tuple of float or None
        Size of a pixel in nanometres, ``(y, x)``.
    pixel_size_source : {"metadata", "estimated", "user", "none"}
        Where `pixel_size` comes from.
    metadata : SEMMetadata
        Acquisition conditions.
    data_bar : DataBar or None
        The data bar, None where there is none.
    path : Path or None
        File that the image was read from.
    rgb : bool
        True for an image that is truly coloured, not grey stored as colour.
    name : str
        Name to show; the file's stem, with a page suffix where a file holds several images.
    """

    pixels: NDArray[Any]
    pixel_size: tuple[float, float] | None = None
    pixel_size_source: PixelSizeSource = "none"
    metadata: SEMMetadata = field(default_factory=SEMMetadata)
    data_bar: DataBar | None = None
    path: Path | None = None
    rgb: bool = False
    name: str = ""

    @property
    def height(self) -> int:
        """Number of rows, data bar included."""
        return int(self.pixels.shape[-3 if self.rgb else -2])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[-2 if self.rgb else -1])

    @property
    def analysed_rows(self) -> slice:
        """Rows above the data bar, all rows where there is none."""
        return slice(0, self.height if self.data_bar is None else self.data_bar.top)

    @property
    def data_bar_rows(self) -> int:
        """Rows from the top edge of the data bar down to the last row of the image; 0 = no bar."""
        return 0 if self.data_bar is None else self.height - self.data_bar.top
