"""Small files in every dialect and form, as bytes: what the mutations start from."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True)
class Sample:
    """One image file, and the files beside it."""

    name: str
    data: bytes
    beside: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_tiff(self) -> bool:
        return self.data[:2] in (b"II", b"MM")


def real_samples(folder: Path, largest: int = 2**23) -> list[Sample]:
    """Every image below a folder, with the text files of its stem."""
    samples = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.stat().st_size > largest:
            continue
        names = (path.stem + ".txt", path.stem + ".hdr")
        beside = {name: path.with_name(name).read_bytes() for name in names if path.with_name(name).is_file()}
        samples.append(Sample(path.name, path.read_bytes(), beside))
    return samples


ZEISS = "".join(
    f"{line}\r\n"
    for line in (
        *("0", "0", "0", "1e-07", "2e+03", "6", "5e+03", "2.2", "2e-10", "5.2e-03", "1"),
        *("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 100.0 nm", "DP_IMAGE_STORE"),
        *("Store resolution = 1024 * 768", "AP_STAGE_AT_T", "Stage at T =   2.5 °", "AP_WD", "WD = 5.2 mm"),
        *("AP_DATE", "Date :11 Apr 2023", "AP_TIME", "Time :8:40:47", "AP_MAG", "Mag = 2.00 K X"),
    )
)
FEI = (
    "[User]\r\nDate=03/04/2017\r\nTime=12:05:06 AM\r\n[Beam]\r\nBeam=EBeam\r\nScan=EScan\r\n[EBeam]\r\n"
    "HV=30000\r\nWD=0.005\r\nBeamCurrent=2e-011\r\nStageTa=0.1\r\n[Scan]\r\nDwelltime=1e-006\r\n"
    "PixelWidth=2e-009\r\nPixelHeight=3e-009\r\nHorFieldsize=2e-007\r\n[Image]\r\nResolutionX=128\r\n"
    "ResolutionY=90\r\nMagCanvasRealWidth=0.4\r\n[Stage]\r\nStageT=0.785\r\n[Detectors]\r\nName=ETD\r\n"
)
FEI_XML = (
    '<?xml version="1.0"?><Metadata xmlns="http://schemas.fei.com/Metadata/v1/2013/07"><Optics>'
    "<AccelerationVoltage>30000</AccelerationVoltage><WorkingDistance>0.0165</WorkingDistance></Optics>"
    "<Acquisition><BeamType>Ion</BeamType></Acquisition><BinaryResult><ImageSize><X>128</X><Y>90</Y>"
    '</ImageSize><PixelSize><X unit="m">2e-09</X><Y unit="m">3e-09</Y></PixelSize></BinaryResult></Metadata>'
)
PHENOM = (
    '<?xml version="1.0"?><FeiImage><databarHeight>6</databarHeight><pixelWidth unit="um">0.002</pixelWidth>'
    '<pixelHeight unit="um">0.003</pixelHeight><workingDistance unit="mm">6.5</workingDistance>'
    '<acquisition><scan><dwellTime unit="ns">200</dwellTime><highVoltage unit="kV">-15</highVoltage></scan>'
    "</acquisition></FeiImage>"
)
ORION = "<ImageTags>{}</ImageTags>".format(
    "".join(
        f"<{key}><Value>{value}</Value><Units>{unit}</Units></{key}>"
        for key, value, unit in (
            *(("ScalingX", "2E-09", "m"), ("ScalingY", "3E-09", "m"), ("ImageWidth", "128", "")),
            *(("ImageHeight", "90", ""), ("AccelerationVoltage", "29997", "Volts")),
            *(("TimeStamp", "1/02/2025 1:00:00 PM", ""), ("DwellTime", "0.5", "uSec")),
        )
    )
)
FIBICS = (
    '<?xml version="1.0"?><Fibics version="1.0"><Application><Date>2025-05-27T10:32:12</Date></Application>'
    "<Image><Width>128</Width><Height>96</Height><Beam>Orion</Beam></Image><Scan><Ux>0.0008</Ux>"
    '<Uy>0.0006</Uy><Vx>0</Vx><Vy>-0.002</Vy></Scan><BeamInfo><item name="AccV">30000</item></BeamInfo>'
    "</Fibics>"
)
DISS = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:pe="http://www.pointelectronic.de/diss/"><rdf:Description><pe:CreatorTool>point electronic DISS'
    "</pe:CreatorTool><pe:PixelSizeX>2e-09</pe:PixelSizeX><pe:PixelSizeY>3e-09</pe:PixelSizeY>"
    '<pe:HV pe:value="20" pe:Unit="kV"/></rdf:Description></rdf:RDF></x:xmpmeta>'
)
TESCAN_MAIN = (
    "Date=16.05.2016\r\nDevice=MIRA3\r\nImageStripSize=6\r\nMagnification=108.08\r\n"
    "PixelSizeX=2.5012e-6\r\nPixelSizeY=2.6e-6\r\nTime=16:03:27\r\n"
)
TESCAN_SEM = "Detector=SE\r\nDwellTime=3.2e-6\r\nHV=10.0e3\r\nStageTilt=2.5\r\nWD=13.250e-3\r\n"
TESCAN_HDR = f"[MAIN]\r\n{TESCAN_MAIN}\r\n[SEM]\r\n{TESCAN_SEM}"
JEOL = (
    "$CM_FORMAT JEOL-SEM\n$CM_INSTRUMENT 7600F\n$CM_ACCEL_VOLT 15.00\n$CM_MAG 1000\n$CM_DATE 2019/03/12\n"
    "$CM_TIME 10:21:55\n$CM_STAGE_POS 5.4 0.8 8.5 11.0 4.5 0.0\n$CM_FULL_SIZE 128 90\n$$SM_WD 8.1\n"
    "$CM_FIELD_OF_VIEW 128.0um 97.0um\n$CM_PIXEL_SIZE 990\n$$SM_MICRON_BAR 50\n$$SM_MICRON_MARKER 10um\n"
)
HITACHI = (
    "[SemImageFile]\r\nInstructName=TM4000\r\nDate=03/12/2019\r\nTime=10:22:13\r\nDataSize=128x96\r\n"
    "PixelSize=9.921875\r\nAcceleratingVoltage=15000 Volt\r\nMagnification=10000\r\n"
    "WorkingDistance=7920.5 um\r\nCondition=Vacc=10kV   Mag=x15.0k   WD=8.1mm\r\n"
)
OPENFIBSEM = json.dumps(
    {
        "image": {"beam_type": "ION", "resolution": [128, 96], "dwell_time": 1e-06},
        "pixel_size": {"x": 2e-9, "y": 3e-9},
        "microscope_state": {
            "timestamp": 1705987635.0,
            "stage_position": {"t": 0.785398},
            "ion_beam": {"voltage": 30000, "working_distance": 0.0165, "beam_current": 2e-11},
        },
    }
)
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'PhysicalSizeX="1" PhysicalSizeY="1" DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="96" '
    'SizeC="1" SizeZ="1" SizeT="1" ID="Pixels:0"><TiffData/></Pixels></Image></OME>'
)
TEXT_TAGS = {
    "zeiss": (34118, ZEISS.encode("latin-1")),
    "zeiss copy": (34119, ZEISS.encode("utf-16-le")),
    "fei": (34682, FEI.encode()),
    "fei xml": (34683, FEI_XML.encode()),
    "s-feg": (34680, b64encode(b"\xef\xbb\xbf" + FEI_XML.encode())),
    "phenom": (34683, PHENOM.encode()),
    "orion": (65000, ORION.encode()),
    "fibics": (51023, FIBICS.encode()),
    "point electronic": (700, DISS.encode()),
    "tescan tag": (50431, b"".join(
        struct.pack("<IH", len(body) + 2, kind) + body
        for kind, body in ((1, bytes(40)), (2, TESCAN_MAIN.encode()), (3, TESCAN_SEM.encode()))
    )),
    "hitachi tag": (40092, HITACHI.encode("utf-16-le") + b"\0\0"),
}  # fmt: skip


def _noise(shape: tuple[int, ...] = (96, 128), dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(7).integers(20, 200, shape).astype(dtype)


def _tiff(pixels: np.ndarray, tags: dict[int, bytes] | None = None, **options: Any) -> bytes:
    extra = [(code, 7, len(value), value, True) for code, value in (tags or {}).items()]
    stream = BytesIO()
    tifffile.imwrite(stream, pixels, **{"extratags": extra, "metadata": None, **options})
    return stream.getvalue()


def _pages(pages: list[tuple[np.ndarray, dict[str, Any]]]) -> bytes:
    stream = BytesIO()
    with tifffile.TiffWriter(stream) as tif:
        for pixels, options in pages:
            tif.write(pixels, **{"metadata": None, **options})
    return stream.getvalue()


def _raster(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _olympus() -> bytes:
    data = _tiff(_noise(), extratags=[(33560, 4, 1, 1 << 20, True)])
    start = len(data)
    data = data.replace(struct.pack("<HHII", 33560, 4, 1, 1 << 20), struct.pack("<HHII", 33560, 4, 1, start))
    data += struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 30, 14, 9, 4, 117, b"Image", 2)
    data += struct.pack("<hhI", 10, 1, 7) + struct.pack("<hhI", 1, 1, start + 76)
    return data + struct.pack("<10xhdd8xd2x34s32s", -9, 2.5, 3.0, 20000.0, b"MegaView III", b"grey")


def exif(text: str = HITACHI) -> bytes:
    """EXIF with an XPComment."""
    found = Image.Exif()
    found[40092] = text.encode("utf-16-le") + b"\0\0"
    found[305] = "a program"
    return found.tobytes()


def _text_chunks() -> PngInfo:
    chunks = PngInfo()
    chunks.add_text("Description", OPENFIBSEM)
    chunks.add_text("Comment", HITACHI, zip=True)
    chunks.add_itxt("XML:com.adobe.xmp", DISS, zip=True)
    return chunks


def _ome() -> bytes:
    # Not by tifffile, which writes a random identifier.
    text = OME.replace('SizeC="1"', 'SizeC="2"').replace("<TiffData/>", '<TiffData PlaneCount="2"/>')
    return _pages([(_noise(), {"description": text}), (_noise(), {})])


def synthetic_samples() -> list[Sample]:
    """One file for each dialect, for each form of TIFF, and for each other format."""
    grey, colour, deep = _noise(), _noise((96, 128, 3)), _noise(dtype="uint16")
    ramp = (np.arange(256) * 257).astype(np.uint16)
    files = {f"{name}.tif": _tiff(grey, dict([tag])) for name, tag in TEXT_TAGS.items()} | {
        "olympus.tif": _olympus(),
        "openfibsem.tif": _tiff(grey, description=OPENFIBSEM),
        "ome.tif": _ome(),
        "imagej.tif": _tiff(_noise((3, 96, 128)), imagej=True, resolution=(2, 2), metadata={"unit": "nm"}),
        "bigtiff.tif": _tiff(grey, dict([TEXT_TAGS["fei"]]), bigtiff=True),
        "big endian.tif": _tiff(deep, dict([TEXT_TAGS["tescan tag"]]), byteorder=">"),
        "tiles.tif": _tiff(grey, dict([TEXT_TAGS["fei"]]), tile=(32, 32), compression="zlib"),
        "strips.tif": _tiff(deep, rowsperstrip=7, compression="lzw", predictor=True),
        "packbits.tif": _tiff(grey, compression="packbits"),
        "jpeg.tif": _tiff(colour, photometric="rgb", compression="jpeg"),
        "zstd.tif": _tiff(_noise(dtype="float32"), compression="zstd"),
        "jpeg2000.tif": _tiff(deep, compression="jpeg2000"),
        "palette.tif": _tiff(grey, photometric="palette", colormap=np.stack([ramp] * 3)),
        "planes.tif": _tiff(np.moveaxis(colour, 2, 0), photometric="rgb", planarconfig="separate"),
        "bits.tif": _tiff(grey > 99, rowsperstrip=5),
        "detectors.tif": _pages(
            [(grey, {"extratags": [(34682, 7, len(FEI), FEI.encode(), True)]}) for _ in range(2)]
            + [(grey[::4, ::4], {"subfiletype": 1})]
        ),
        "stack.tif": _pages([(grey, {}) for _ in range(5)]),
        "subifds.tif": _pages([(grey, {"subifds": 2})] + [(grey[::2, ::2], {"subfiletype": 1})] * 2),
        "grey.png": _raster(grey, "PNG"),
        "deep.png": _raster(deep, "PNG"),
        "text.png": _raster(colour, "PNG", pnginfo=_text_chunks(), exif=exif()),
        "comment.jpg": _raster(grey, "JPEG", exif=exif()),
        "colour.bmp": _raster(colour, "BMP"),
    }
    beside = {
        "jeol": ("", ".txt", JEOL),
        "hitachi": ("", ".txt", HITACHI),
        "tescan": ("-tif", ".hdr", TESCAN_HDR),
    }
    samples = [Sample(name, data) for name, data in files.items()]
    for name, (more, ending, text) in beside.items():
        sidecar = {f"{name}{more}{ending}": text.encode()}
        samples.append(Sample(f"{name}.tif", _tiff(grey), sidecar))
    samples.append(Sample("jeol.bmp", _raster(grey, "BMP"), {"jeol.txt": JEOL.encode("utf-16")}))
    return samples
