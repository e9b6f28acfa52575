"""The limits file of a lab."""

from __future__ import annotations

import difflib
import re
import tomllib
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from napari_micro_ktnet.errors import InputError

_TABLE = re.compile(r"\s*\[\[?\s*([A-Za-z_]+)\s*\]\]?")
_KEY = re.compile(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*=")


# A number in quotes is more likely a slip than meant.
_Size = Annotated[float, Strict()]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LimitSet(_Strict):
    """Limits that belong together; one that is not given is not checked.

    Attributes
    ----------
    largest_ecd_um : float, optional
        Largest equivalent circular diameter, border objects included.
    count_per_mm2_above_d_star : float, optional
        Objects larger than d* per mm2.
    area_percent : float, optional
        Area of objects in percent of the analysed area.
    """

    largest_ecd_um: _Size | None = Field(None, gt=0)
    count_per_mm2_above_d_star: _Size | None = Field(None, gt=0)
    area_percent: _Size | None = Field(None, gt=0, le=100)

    @property
    def given(self) -> dict[str, float]:
        """The limits that are set."""
        return {name: v for name in LimitSet.model_fields if (v := getattr(self, name)) is not None}


class Grade(LimitSet):
    """A row of the lab's own grade table."""

    name: str = Field(min_length=1)


class Sampling(_Strict):
    """What a lot must be measured on before it can pass; 0 asks for nothing."""

    min_fields: Annotated[int, Strict()] = Field(1, ge=0)
    min_area_mm2: _Size = Field(0, ge=0)
    min_objects: Annotated[int, Strict()] = Field(0, ge=0)


class Limits(_Strict):
    """Contents of a limits file.

    Attributes
    ----------
    name : str
        What the limits are for; shown with the verdict.
    d_star_um : float, optional
        The size d*; needed where a count above it is limited.
    limits : LimitSet
        All must be kept.
    grades : tuple of Grade
        From the best to the worst: the grade is the first of which all limits are kept.
    sampling : Sampling
        Least sampling.
    """

    schema_version: Literal[1] = 1
    name: str = ""
    d_star_um: _Size | None = Field(None, gt=0)
    limits: LimitSet = LimitSet()
    grades: tuple[Grade, ...] = ()
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _complete(self) -> Limits:
        sets = (self.limits, *self.grades)
        if not any(s.given for s in sets):
            raise ValueError("there is no limit in it: set one in [limits] or [[grades]]")
        if self.d_star_um is None and any(s.count_per_mm2_above_d_star is not None for s in sets):
            raise ValueError("count_per_mm2_above_d_star needs the size d_star_um at the top of the file")
        return self


_TABLES: dict[str, type[BaseModel]] = {"limits": LimitSet, "grades": Grade, "sampling": Sampling}


def read_limits(path: str | PathLike[str]) -> Limits:
    """Read a limits file (TOML).

    Raises
    ------
    InputError
        It cannot be read, is no TOML, or a key or value in it is wrong; the line is named.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(f"The limits file {path} does not exist.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a limits file ({error}). Expected a TOML file with the table [limits]."
        ) from error
    try:
        return Limits.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}{_explain(error, text)}") from error


def _explain(error: ValidationError, text: str) -> str:
    first = error.errors()[0]
    where = [part for part in first["loc"] if part != "__root__"]
    if not where:
        return f": {first['msg'].removeprefix('Value error, ')}."
    key = str(where[-1])
    line = _line_of(where, text)
    place = f", line {line}" if line else ""
    if first["type"] == "extra_forbidden":
        known = _TABLES.get(str(where[0]) if len(where) > 1 else "", Limits)
        names = list(known.model_fields)
        close = difflib.get_close_matches(key, names, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Expected one of {', '.join(names)}."
        return f"{place}: there is no setting {'.'.join(map(str, where))}. {hint}"
    if first["type"] == "missing":
        return f"{place}: {'.'.join(map(str, where))} is missing."
    return f"{place}: {'.'.join(map(str, where))} cannot be {first['input']!r}. {first['msg']}."


def _line_of(where: list[Any], text: str) -> int | None:
    """Line of a key; of its table where the key is not there."""
    table, index, found = "", -1, None
    wanted_table = str(where[0]) if len(where) > 1 else ""
    wanted_index = where[1] if len(where) > 2 and isinstance(where[1], int) else None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            index = index + 1 if header[1] == table else 0
            table = header[1]
            if len(where) == 1 and table == where[0]:
                return number
        inside = table == wanted_table and (wanted_index is None or index == wanted_index)
        if inside and found is None and header:
            found = number
        if inside and (key := _KEY.match(line)) and key[1] == str(where[-1]):
            return number
    return found
