"""What a report is made of, besides the measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.measurement.fields import LabelField


@dataclass(frozen=True)
class ReportInfo:
    """What people say about a lot.

    Attributes
    ----------
    lot, operator, title, notes : str
        As typed; what is empty is left out.
    """

    lot: str = ""
    operator: str = ""
    title: str = ""
    notes: str = ""


@dataclass(frozen=True, eq=False)
class ReportField:
    """Where a report finds the picture of a measured field, and what is known of its origin.

    Attributes
    ----------
    load : function, optional
        Gives the field as it was measured, with its image in `LabelField.grey`. It is called once, and only
        if the field is among those whose pictures are shown, so that a report of a thousand fields holds one
        image at a time. ``lambda: field`` for a field in memory;
        ``functools.partial(load_field, labels, None, image)`` (of `measurement.label_files`) for files.
        Without it the report has no picture of the field; without `grey` the labels are drawn on black.
    description : mapping of str to Any
        Acquisition conditions, from `sem.describe.describe`; empty where nothing is known.
    segmentation : SegmentationRecord, optional
        The record of `micro-ktnet segment`: image file and its hash, model and its hash, parameters.
    """

    load: Callable[[], LabelField] | None = None
    description: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationRecord | None = None
