"""Which fields and objects a report shows, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.report.content import ReportField
from napari_micro_ktnet.report.figures import shown_unit
from napari_micro_ktnet.report.numbers import digits
from napari_micro_ktnet.report.pictures import crop, overlay, prepare

MOST_OVERLAYS, MOST_OBJECTS = 8, 10


@dataclass(frozen=True)
class Pictures:
    """Pictures of a report.

    Attributes
    ----------
    overlays : tuple of (int, Markup)
        Number of the field, from 1, and its picture.
    gallery : tuple of (Markup, str)
        The largest objects, the largest first: picture and what is said of it.
    """

    overlays: tuple[tuple[int, Markup], ...]
    gallery: tuple[tuple[Markup, str], ...]


def make_pictures(measurement: Measurement, fields: Sequence[ReportField]) -> Pictures:
    """Draw the fields and objects that are worth a look, with one image at a time in memory.

    Parameters
    ----------
    measurement : Measurement
        What is reported.
    fields : sequence of ReportField
        One for each measured field, or none.
    """
    if not fields:
        return Pictures((), ())
    largest = largest_objects(measurement, MOST_OBJECTS)
    chosen = chosen_fields(measurement, largest, MOST_OVERLAYS)
    overlays: list[tuple[int, Markup]] = []
    crops: dict[tuple[int, int], Markup] = {}
    for index in sorted({*chosen, *(field for field, _ in largest)}):
        load = fields[index].load
        if load is None:
            continue
        measured = measurement.fields[index]
        picture = prepare(load(), measured, measurement)
        if index in chosen:
            overlays.append((index + 1, overlay(picture)))
        for row in (row for field, row in largest if field == index):
            box = tuple(int(measured.table[side][row]) for side in ("top", "left", "bottom", "right"))
            crops[index, row] = crop(picture, box, int(measured.table["object"][row]))
    gallery = tuple((crops[at], caption(measurement, *at)) for at in largest if at in crops)
    return Pictures(tuple(overlays), gallery)


def largest_objects(measurement: Measurement, most: int) -> list[tuple[int, int]]:
    """Index of the field, and row of its table, of the largest objects; the largest first.

    Those of fields without a pixel size are left out where others have one.
    """
    known = any(f.pixel_size for f in measurement.fields)
    found: list[tuple[float, int, int]] = []
    for index, measured in enumerate(measurement.fields):
        if known and not measured.pixel_size:
            continue
        areas = measured.table["area_um2" if known else "area_px"]
        found += [(float(areas[row]), index, int(row)) for row in np.argsort(-areas, kind="stable")[:most]]
    found.sort(key=lambda entry: (-entry[0], entry[1:]))
    return [(index, row) for _, index, row in found[:most]]


def chosen_fields(measurement: Measurement, largest: Sequence[tuple[int, int]], most: int) -> list[int]:
    """Choose fields to show: from the least to the most covered, and that of the largest object."""
    count = len(measurement.fields)
    if count <= most:
        return list(range(count))
    covered = sorted(range(count), key=lambda i: measurement.fields[i].summary.area_fraction)
    chosen = {largest[0][0]} if largest else set()
    for place in np.linspace(0, count - 1, most):
        if len(chosen) < most:
            chosen.add(covered[round(place)])
    return sorted(chosen)


def caption(measurement: Measurement, index: int, row: int) -> str:
    """Say what an object measures."""
    measured = measurement.fields[index]
    entry = {name: column[row] for name, column in measured.table.columns.items()}
    unit = "um" if measured.pixel_size else "px"
    text = f"ECD {digits(entry[f'ecd_{unit}'])} {shown_unit(unit)}"
    if f"feret_max_{unit}" in entry:
        text += f", Feret {digits(entry[f'feret_max_{unit}'])} {shown_unit(unit)}"
    text += f"; field {index + 1}, object {entry['object']}"
    return text + ("; cut by the edge" if entry["border"] else "")
