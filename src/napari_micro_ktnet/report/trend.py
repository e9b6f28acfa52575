"""Earlier lots, from the JSON files that were written of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_micro_ktnet.errors import DataError, ReadError
from napari_micro_ktnet.measurement.summary import PooledSummary


@dataclass(frozen=True)
class Lot:
    """What the trend shows of a lot.

    Attributes
    ----------
    name : str
        To show; of a file that names no lot, its own name.
    pooled : PooledSummary
        All fields together.
    """

    name: str
    pooled: PooledSummary

    @property
    def area_fraction(self) -> float:
        """Share of the analysed area in agglomerates."""
        return self.pooled.area_fraction

    @property
    def number_density_per_mm2(self) -> float | None:
        """None without a pixel size."""
        return self.pooled.number_density_per_mm2

    def d50(self, by: Literal["number", "area"]) -> float | None:
        """Median ECD in um; None without a pixel size or without objects."""
        sizes = self.pooled.ecd_um
        return None if sizes is None else (sizes.number if by == "number" else sizes.area).d50

    def limits(self, name: str, factor: float = 1.0) -> tuple[float, float] | None:
        """Confidence limits of a figure, times a factor; None where there are none."""
        found = self.pooled.confidence.intervals.get(name)
        return None if found is None else (factor * found[0], factor * found[1])


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    lot: str = ""
    pooled: PooledSummary


def read_lots(paths: Sequence[str | os.PathLike[str]]) -> list[Lot]:
    """Read what was measured of earlier lots.

    Parameters
    ----------
    paths : sequence of path
        JSON files as `micro-ktnet measure --json` and `micro-ktnet batch` write them.

    Raises
    ------
    DataError
        A file is no such measurement.
    ReadError
        A file cannot be read.
    """
    return [_read(Path(path)) for path in paths]


def _read(path: Path) -> Lot:
    try:
        found = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}). Expected the JSON of an earlier lot."
        ) from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is not a measurement of an earlier lot ({where or 'content'}: {first['msg']}). Expected "
            "the JSON file that 'micro-ktnet measure --json' or 'micro-ktnet batch' wrote."
        ) from error
    # All batches have the same file name, but a folder of their own.
    own = path.resolve().parent.name if path.stem == "measurement" else path.stem
    return Lot(found.lot or own, found.pooled)
