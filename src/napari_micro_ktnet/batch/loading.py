"""What a batch wrote of a field, loaded again; without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.measurement.fields import LabelField
from napari_micro_ktnet.measurement.label_files import load_field
from napari_micro_ktnet.sem import SEMImage, read_sem_pages


def load_measured(record: SegmentationRecord, output: Path, pixel_size: float | None) -> LabelField:
    """Load labels that a batch wrote, with their image.

    Raises
    ------
    InputError, ReadError, DataError
        See `load_field`.
    """
    return load_field(output / record.labels, pixel_size, image_of(record))


def image_of(record: SegmentationRecord) -> SEMImage:
    """Give the page, or the slice, that a record is of.

    Raises
    ------
    ReadError
        The file cannot be read, or holds no such image any more.
    """
    path = Path(record.input)
    in_stack = record.slice_index is not None
    pages = [page for page in read_sem_pages(path, lazy=in_stack) if page.name == record.image]
    if len(pages) != 1:
        raise ReadError(f"{path} has no image named {record.image!r} any more. Segment it again.")
    if not in_stack:
        return pages[0]
    return replace(pages[0], pixels=np.asarray(pages[0].pixels[record.slice_index]))
