"""Dialects in XML, and XML that is not to be trusted."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_micro_ktnet.sem import read_sem, read_sem_pages
from napari_micro_ktnet.sem.vendors._xml import flatten, parse_xml

if TYPE_CHECKING:
    from pathlib import Path


def blank(height: int = 96, width: int = 128) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def pairs(**values: tuple[str, str]) -> str:
    items = "".join(
        f"<{key}><Value>{value}</Value><Units>{unit}</Units></{key}>" for key, (value, unit) in values.items()
    )
    return f"<ImageTags><ImageTagsVersion>1.4.0</ImageTagsVersion>{items}</ImageTags>"


ORION = {
    "ScalingX": ("2E-09", "m"),
    "ScalingY": ("3E-09", "m"),
    "AccelerationVoltage": ("29997", "Volts"),
    "BlankerCurrent": ("0.938", "picoAmps"),
    "WorkingDistance": ("11.977", "mm"),
    "DetectorName": ("ETDetector", ""),
    "StageTilt": ("0.16", "Degrees"),
    "ImageWidth": ("128", ""),
    "ImageHeight": ("96", ""),
    "DwellTime": ("0.5", "uSec"),
    "TimeStamp": ("1/02/2025 1:00:00 PM", ""),
    "Magnification4x5": ("114300", ""),
}
EMPTY = b"0\r\n0\r\n0\r\n9.7E-10\r\n0\r\n6\r\n29997\r\n0.0\r\n0.938\r\n0\r\n0.011977\r\n0\r\n"


@pytest.mark.parametrize("header", [EMPTY, b"\0" * 64, b""])
def test_orion(tagged_tiff, header: bytes) -> None:
    tags = {65000: pairs(**ORION).encode()} | ({34118: header} if header else {})
    image = read_sem(tagged_tiff(blank(105), tags))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.data_bar_rows == 9
    assert (found.vendor, found.beam, found.detector) == ("Zeiss Orion", "ion", "ETDetector")
    assert found.accelerating_voltage_v == 29997
    assert found.working_distance_m == pytest.approx(0.011977)
    assert found.beam_current_a == pytest.approx(9.38e-13)
    assert found.stage_tilt_deg == 0.16
    assert found.magnification == 114300
    assert found.dwell_s == pytest.approx(5e-7)
    assert found.acquired == datetime(2025, 1, 2, 13)


@pytest.mark.parametrize("value", [("notafloat", "m"), ("0", "m"), ("", "m")])
def test_orion_without_scale(tagged_tiff, value: tuple[str, str]) -> None:
    image = read_sem(tagged_tiff(blank(), {65000: pairs(**{**ORION, "ScalingX": value}).encode()}))
    assert image.pixel_size is None
    assert image.metadata.accelerating_voltage_v == 29997


def fibics(beam: str = "Orion", ux: str = "0.0008", uy: str = "0.0006") -> str:
    return (
        '<?xml version="1.0" encoding="iso-8859-1"?>\r\n<Fibics version="1.0">'
        "<Application><Date>2025-05-27T10:32:12.498-04:00</Date></Application>"
        f"<Image><Width>128</Width><Height>96</Height><Beam>{beam}</Beam><Detector>ET</Detector>"
        "<Aperture>10 \u00b5m</Aperture></Image>"
        f'<Scan><Dwell units="ns">10000</Dwell><Ux>{ux}</Ux><Uy>{uy}</Uy><Vx>0</Vx><Vy>-0.002</Vy></Scan>'
        '<Stage><Tilt units="deg">0.19</Tilt></Stage>'
        '<BeamInfo><item name="AccV">30000</item></BeamInfo></Fibics>'
    )


@pytest.mark.parametrize(
    ("name", "beam"), [("Orion", "ion"), ("FIB", "ion"), ("SEM", "electron"), ("?", None)]
)
def test_fibics(tagged_tiff, name: str, beam: str | None) -> None:
    image = read_sem(tagged_tiff(blank(), {51023: fibics(name).encode("latin-1")}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((2.0, 1.0))  # a rotated scan: hypot(0.8, 0.6) nm a column
    assert image.data_bar_rows == 0
    assert (found.vendor, found.detector, found.beam) == ("Fibics", "ET", beam)
    assert found.accelerating_voltage_v == 30000
    assert found.stage_tilt_deg == 0.19
    assert found.dwell_s == pytest.approx(1e-5)
    zone = timezone(timedelta(hours=-4))
    assert found.acquired == datetime(2025, 5, 27, 10, 32, 12, 498000, tzinfo=zone)
    assert found.raw["Image/Aperture"] == "10 \u00b5m"


@pytest.mark.parametrize(("ux", "uy"), [("notafloat", "0"), ("0", "0"), ("", "")])
def test_fibics_without_scale(tagged_tiff, ux: str, uy: str) -> None:
    assert read_sem(tagged_tiff(blank(), {51023: fibics("SEM", ux, uy).encode()})).pixel_size is None


def phenom(unit: str = "um", width: str = "0.002", bar: str = "8") -> bytes:
    return (
        f'<?xml version="1.0"?><FeiImage><databarHeight>{bar}</databarHeight>'
        f'<pixelWidth unit="{unit}">{width}</pixelWidth><pixelHeight unit="{unit}">0.003</pixelHeight>'
        '<workingDistance unit="mm">6.5</workingDistance><instrument><type>Phenom</type>'
        '<edition>G4 Phenom ProX</edition></instrument><acquisition><scan><detector>All</detector>'
        '<dwellTime unit="ns">200</dwellTime><highVoltage unit="kV">-15</highVoltage></scan></acquisition>'
        "</FeiImage>"
    ).encode()  # fmt: skip


def test_phenom(tagged_tiff) -> None:
    image = read_sem(tagged_tiff(blank(104), {34683: phenom()}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.data_bar_rows == 8
    assert (found.vendor, found.instrument, found.detector) == ("Phenom", "G4 Phenom ProX", "All")
    assert found.accelerating_voltage_v == 15000
    assert found.working_distance_m == pytest.approx(6.5e-3)
    assert found.dwell_s == pytest.approx(2e-7)


@pytest.mark.parametrize(
    ("unit", "width", "size"),
    [
        ("nm", "2", (0.003, 2.0)),
        ("\u00b5m", "0.002", (3.0, 2.0)),
        ("um", "0,002", (3.0, 2.0)),
        ("um", "notafloat", (3.0, 3.0)),
        ("pixel", "1", None),
        ("", "1", None),
    ],
)
def test_phenom_scale(tagged_tiff, unit: str, width: str, size) -> None:
    image = read_sem(tagged_tiff(blank(104), {34683: phenom(unit, width)}))
    assert image.pixel_size == (None if size is None else pytest.approx(size))


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:pe="http://www.pointelectronic.de/diss/"'
ELEMENTS = (
    "<pe:PixelSizeX>2e-09</pe:PixelSizeX><pe:PixelSizeY>3e-09</pe:PixelSizeY><pe:Mag>5000</pe:Mag>"
    '<pe:HV rdf:parseType="Resource"><pe:value>20</pe:value><pe:Unit>kV</pe:Unit></pe:HV>'
    "<pe:WD><rdf:Description><pe:value>10.5</pe:value><pe:Unit>mm</pe:Unit></rdf:Description></pe:WD>"
    '<pe:Tilt pe:value="1.5" pe:Unit="mm"/>'
    "<pe:Images><rdf:Seq><rdf:li><pe:SignalName>SE</pe:SignalName></rdf:li>"
    "<rdf:li><pe:SignalName>BSE</pe:SignalName></rdf:li></rdf:Seq></pe:Images>"
)
ATTRIBUTES = (
    '<pe:HV pe:value="20" pe:Unit="kV"/><pe:WD pe:value="10.5" pe:Unit="mm"/><pe:Tilt pe:value="1.5"/>'
    "<pe:SignalName>SE</pe:SignalName>"
)


def xmp(body: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" '
        f'x:xmptk="XMP Core 5.1.2"><rdf:RDF {RDF}><rdf:Description rdf:about="" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/"><xmp:CreatorTool>point electronic DISS 5.15.31.0'
        "</xmp:CreatorTool><xmp:CreateDate>2021-03-04T05:06:07+01:00</xmp:CreateDate></rdf:Description>"
        f'<rdf:Description rdf:about="" {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>' + " " * 200
    ).encode()


@pytest.mark.parametrize(
    "data",
    [xmp(ELEMENTS), xmp(ATTRIBUTES, 'pe:PixelSizeX="2e-09" pe:PixelSizeY="3e-09" pe:Mag="5000"')],
)
def test_point_electronic(tagged_tiff, data: bytes) -> None:
    image = read_sem(tagged_tiff(blank(), {700: data}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert (found.vendor, found.detector, found.magnification) == ("point electronic DISS", "SE", 5000)
    assert found.accelerating_voltage_v == 20000
    assert found.working_distance_m == pytest.approx(0.0105)
    assert found.stage_tilt_deg == 1.5
    assert found.acquired == datetime(2021, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=1)))


def test_xmp_of_an_image_program(tagged_tiff) -> None:
    data = xmp(ELEMENTS).replace(b"point electronic DISS", b"Photo Program")
    assert read_sem(tagged_tiff(blank(), {700: data})).pixel_size is None


def test_ome_channels_share_the_scale(tmp_path: Path) -> None:
    metadata = {
        "axes": "CYX",
        "PhysicalSizeX": 2.0,
        "PhysicalSizeY": 3.0,
        "Channel": {"Name": ["SE", "BSE"]},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((2, 96, 128), np.uint8), metadata=metadata)
    images = read_sem_pages(tmp_path / "a.ome.tif")
    assert [image.pixel_size for image in images] == [pytest.approx((3000.0, 2000.0))] * 2
    assert [image.metadata.detector for image in images] == ["SE", "BSE"]


def test_ome_images_of_their_own_scale(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        for size in (1.0, 2.0):
            scale = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
            tif.write(blank(), metadata=scale, photometric="minisblack")
    images = read_sem_pages(tmp_path / "a.ome.tif")
    assert [image.pixel_size for image in images] == [pytest.approx((1e3, 1e3)), pytest.approx((2e3, 2e3))]


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]>'
)
HOSTILE = {
    34683: LAUGHS.format(root="FeiImage").encode() + phenom()[21:],
    65000: LAUGHS.format(root="ImageTags").encode() + pairs(**ORION).encode(),
    51023: LAUGHS.format(root="Fibics").encode() + fibics().encode()[45:],
    700: LAUGHS.format(root="x").encode() + xmp(ELEMENTS),
    270: LAUGHS.format(root="OME").encode()
    + b'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    b'PhysicalSizeX="1" PhysicalSizeY="1" DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="96" '
    b'SizeC="1" SizeZ="1" SizeT="1" ID="Pixels:0"><TiffData/></Pixels></Image></OME>',
}


@pytest.mark.parametrize("tag", HOSTILE)
def test_entities_are_never_read(tagged_tiff, tag: int) -> None:
    data = HOSTILE[tag].replace(b"<detector>All", b"<detector>&d;")
    if tag == 270:
        image = read_sem(tagged_tiff(blank(), {}, description=data))
    else:
        image = read_sem(tagged_tiff(blank(), {tag: data}))
    assert image.pixel_size is None
    assert not any("root:" in value or "aaaa" in value for value in image.metadata.raw.values())


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<a>", "<a></b>", "<!DOCTYPE a><a/>", "<a>&b;</a>", "<a>" * 200 + "</a>" * 200,
     "<a>" + "<b/>" * 300_000 + "</a>", "<a>" + " " * 2**24 + "</a>", "<a>\x00</a>",
     "<a><!ENTITY b 'c'></a>"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_refused_quickly(text: str) -> None:
    start = time.process_time()
    assert parse_xml(text) is None
    assert time.process_time() - start < 2


def test_flatten() -> None:
    root = parse_xml('\ufeff<a xmlns="x"><b c="1">2</b><b>3</b><!-- d --><e><f><![CDATA[4]]></f></e></a>\0\0')
    assert root is not None
    assert flatten(root) == {"b": "2", "b@c": "1", "b#2": "3", "e/f": "4"}
