"""The JSON beside every label file: enough to repeat and to measure."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.sem import SEMImage
from napari_micro_ktnet.sem.folders import LABELS_ENDING


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassRecord(_Frozen):
    """A label value, its name and colour, and its share of the analysed region (0..1)."""

    value: int
    name: str
    color: str
    area_fraction: float


class ModelRecord(_Frozen):
    """The model that made the labels."""

    name: str
    sha256: str
    architecture: str
    encoder: str


class RegionRecord(_Frozen):
    """The analysed part.

    Attributes
    ----------
    rows, columns : tuple of int
        ``[first, last)`` in pixels.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]


class SegmentationRecord(_Frozen):
    """What is written as ``<stem>.json``.

    Attributes
    ----------
    input, input_sha256 : str
        The image file, and its hash.
    image : str
        Name of the image in the file (page, detector).
    slice_index : int or None
        Index along Z where the image is a stack.
    labels : str
        Name of the label file, beside this one.
    files, files_before : dict of str to str
        Names and hashes of all files that were written beside this one, and hashes of those that lay there
        before: whoever finds another hash knows that someone changed the file.
    shape : tuple of int
        ``(Y, X)`` of image and labels.
    pixel_size_nm : tuple of float or None
        ``(y, x)``.
    pixel_size_source : str
        Where it comes from.
    data_bar_rows : int
        From the bar's top edge to the last row, 0 = none.
    analysed_region : RegionRecord
        Where the network looked; labels outside are 0 without meaning matrix.
    analysed_mask : str
        Name of a file beside this one, uint8 ``(Y, X)``, 1 = analysed, where the network did not look at
        every pixel of that rectangle (some were not finite numbers); else empty.
    classes : tuple of ClassRecord
        Besides matrix (0).
    model : ModelRecord
        Name, hash, architecture, encoder.
    parameters : dict
        Threshold, tile, overlap, device, precision and so on.
    versions : dict
        Of this package, Python, torch and segmentation-models-pytorch.
    """

    schema_version: Literal[1] = 1
    input: str
    input_sha256: str
    image: str
    slice_index: int | None = None
    labels: str
    files: dict[str, str] = Field(default_factory=dict)
    files_before: dict[str, str] = Field(default_factory=dict)
    shape: tuple[int, int]
    pixel_size_nm: tuple[float, float] | None
    pixel_size_source: str
    data_bar_rows: int
    analysed_region: RegionRecord
    analysed_mask: str = ""
    classes: tuple[ClassRecord, ...]
    model: ModelRecord
    parameters: dict[str, Any]
    versions: dict[str, str]


def make_record(
    image: SEMImage,
    result: Segmentation,
    labels: Any,
    labels_name: str,
    threshold: float,
    slice_index: int | None = None,
) -> SegmentationRecord:
    """Describe one label image ``(Y, X)`` that `result`, of that image or slice, gave at `threshold`."""
    rows, columns = (np.flatnonzero(result.analysed.any(axis=axis)) for axis in (1, 0))
    area = int(result.analysed.sum())
    path = image.path or Path()
    return SegmentationRecord(
        input=str(path),
        input_sha256=file_sha256(path) if path.is_file() else "",
        image=image.name,
        slice_index=slice_index,
        labels=labels_name,
        shape=(labels.shape[0], labels.shape[1]),
        pixel_size_nm=image.pixel_size,
        pixel_size_source=image.pixel_size_source,
        data_bar_rows=image.data_bar_rows,
        analysed_region=RegionRecord(
            rows=(int(rows[0]), int(rows[-1]) + 1), columns=(int(columns[0]), int(columns[-1]) + 1)
        ),
        classes=tuple(
            ClassRecord(value=v, name=c.name, color=c.color, area_fraction=int((labels == v).sum()) / area)
            for v, c in enumerate(result.spec.classes, 1)
        ),
        model=ModelRecord(
            name=result.model_name,
            sha256=result.model_sha256,
            architecture=result.spec.architecture,
            encoder=result.spec.encoder,
        ),
        parameters={"threshold": threshold} | result.parameters,
        versions=versions(),
    )


def recorded_files(record: Path) -> dict[str, tuple[str, ...]] | None:
    """Read which files a record names, with the hashes that each may have; None where it is no record."""
    try:
        content = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None
    # Records of the demonstration hold more than a SegmentationRecord.
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        return None
    before = content.get("files_before")
    known = [files, before if isinstance(before, dict) else {}]
    # Only files beside it, wherever its text may point to.
    own = [name for name in files if Path(name).name == name]
    return {name: tuple(str(each[name]) for each in known if name in each) for name in own}


def is_result(path: Path) -> bool:
    """Whether a label file is as `segment` wrote it, which the record beside it tells."""
    known = recorded_files(path.with_name(f"{path.stem.removesuffix(LABELS_ENDING)}.json")) or {}
    return path.name in known and file_sha256(path) in known[path.name]


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    packages = ("napari-micro-ktnet", "torch", "segmentation-models-pytorch")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
