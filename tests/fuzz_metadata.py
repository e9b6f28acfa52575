"""Hostile metadata: in tags, in EXIF and text chunks, in the files beside the image."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np
from PIL import Image

from fuzz_samples import DISS, FIBICS, HITACHI, JEOL, OME, ORION, PHENOM, TESCAN_HDR, TEXT_TAGS, Sample
from fuzz_structure import Files, directories_of, flip, with_files
from fuzz_tiff import Tiff

# Stands in no file as it is: only an expanded entity, or the file that one names, has it.
EXPANDED = "K7K7"
_NAMED_BY_ENTITY = "entity.txt"
HUGE = 100 * 2**20

_XML = {
    34683: ("FeiImage", PHENOM),
    34680: ("Metadata", TEXT_TAGS["fei xml"][1].decode()),
    65000: ("ImageTags", ORION),
    51023: ("Fibics", FIBICS),
    700: ("x:xmpmeta", DISS),
    270: ("OME", OME),
}


def _hostile_document(rng: np.random.Generator, root: str, text: str) -> str:
    body = re.sub(r"^<\?xml[^>]*\?>", "", text)
    laughs = '<!ENTITY a "K7">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    external = f'<!ENTITY i SYSTEM "{_NAMED_BY_ENTITY}"><!ENTITY % p SYSTEM "file:///etc/hostname">'
    inserted = body.replace("</", "&i;</", 1) if rng.random() < 0.5 else re.sub(r">[^<]+<", ">&i;<", body)
    size = int(rng.choice([1000, 100_000]))
    long_name = "n" * (size // 2)
    return str(
        rng.choice(
            np.array(
                [
                    f"<!DOCTYPE {root} [{laughs}]>{inserted}",
                    f"<!DOCTYPE {root} [{external}]>{inserted}",
                    f'<!DOCTYPE {root} SYSTEM "{_NAMED_BY_ENTITY}">{body}',
                    body.replace("</", "<d>" * size + "</d>" * size + "</", 1),
                    body.replace(">", f' huge="{"9" * 10 * size}">', 1),
                    body.replace("</", "<e/>" * size + "</", 1),
                    body.replace("</", f"<{long_name}>" + "<e>1</e>" * size + f"</{long_name}></", 1),
                    body.replace("</", "&#0;&#xFFFFFFFF;&unknown;</", 1),
                    body[: rng.integers(len(body))],
                    body.replace(">", " " + " ".join(f'a{i}="{i}"' for i in range(size)) + ">", 1),
                ],
                dtype=object,
            )
        )
    )


def hostile_xml(rng: np.random.Generator, sample: Sample) -> Files | None:
    if not sample.is_tiff:
        return None
    code = int(rng.choice(list(_XML)))
    data = _hostile_document(rng, *_XML[code]).encode()
    return with_files(sample, Tiff(sample.data).with_tag(code, data), **{_NAMED_BY_ENTITY: EXPANDED.encode()})


_GARBAGE = (
    *(
        "1e999",
        "-1e999",
        "nan",
        "inf",
        "",
        "0",
        "-1",
        "1e308",
        "1e-320",
        "notafloat",
        "9" * 400,
        "1e+",
        "--5",
        "٣",
    ),
    *(
        "1,5,7",
        "0x1F",
        "1_000",
        "65536",
        "1000000000",
        "\0",
        "é",
        "1e308 km",
        "%",
        "²",
        "99:99:99",
        "31/31/9999",
        "\ud7ff",
    ),
)


def _garbled(rng: np.random.Generator, text: str) -> str:
    """Replace some of the numbers by what is none, or is out of all bounds."""
    share = rng.choice([0.1, 0.5, 1.0])
    million = "9" * 10**6 if rng.random() < 0.1 else "7"

    def change(match: re.Match[str]) -> str:
        return str(rng.choice([*_GARBAGE, million])) if rng.random() < share else match[0]

    return re.sub(r"[-+]?\d[\d.]*(?:[eE][-+]?\d+)?", change, text)


def hostile_numbers(rng: np.random.Generator, sample: Sample) -> Files | None:
    """Garbage in the numbers of the file's own metadata, or of the text file beside it."""
    if sample.beside and rng.random() < 0.5:
        name, old = next(iter(sample.beside.items()))
        return with_files(sample, sample.data, **{name: _garbled(rng, old.decode("latin-1")).encode()})
    texts = [
        entry
        for directory in directories_of(sample)[:1]
        for entry in directory.entries
        if entry.kind in (1, 2, 7) and 20 < entry.length < 200_000
    ]
    if not texts:
        return None
    tiff, entry = Tiff(sample.data), texts[rng.integers(len(texts))]
    wide = tiff.value(entry)[1:4:2] == b"\0\0"
    encoding = "utf-16-le" if wide else "latin-1"
    text = _garbled(rng, tiff.value(entry).decode(encoding, errors="replace"))
    return with_files(
        sample, tiff.with_tag(entry.code, text.encode("utf-16-le" if wide else "utf-8"), entry.kind)
    )


_ZEISS_REPEATED = "AP_WD\r\n" + "\r\n".join(f"AP_{i}\r\nx = {i}" for i in range(60_000))


def long_names(rng: np.random.Generator, sample: Sample) -> Files | None:
    """Names that every key below them inherits: small in the file, huge if written out for each."""
    if not sample.is_tiff:
        return None
    half = 900_000
    ini = "[" + "n" * half + "]\r\n" + "a=1\r\n" * (half // 5)
    depth, name = 90, "n" * 10_000
    nested = "".join(f"<{name}><e>1</e>" for _ in range(depth)) + f"</{name}>" * depth
    deep = "{" + "".join(f'"{"n" * 4000}": {{"e": 1, ' for _ in range(400)) + '"x": 1' + "}" * 401
    choices: list[tuple[int, str]] = [
        (34682, "[Beam]\r\nBeam=EBeam\r\n" + ini),
        (40092, "[SemImageFile]\r\n" + ini),
        (34683, f"<FeiImage>{nested}</FeiImage>"),
        (65000, f"<ImageTags>{nested}</ImageTags>"),
        (34680, f"<Metadata><{name}>{'<e>1</e>' * 100_000}</{name}></Metadata>"),
        (270, '{"pixel_size": {"x": 1e-9}, "microscope_state": ' + deep + "}"),
        (50431, "Device=1\r\n" + "a=" * half),
        (34118, _ZEISS_REPEATED),
    ]
    code, text = choices[rng.integers(len(choices))]
    return with_files(sample, Tiff(sample.data).with_tag(code, text.encode()))


_BULK = (
    b"\0",
    b" ",
    b"9",
    b"<a>",
    b"[a]\n",
    b"a=1\r\n",
    b"AP_WD\r\n",
    b"$",
    b"AM ",
    b"QUJD",
    b"\xff",
    b"1:",
    b"{[",
)


def huge_metadata(rng: np.random.Generator, sample: Sample) -> Files | None:
    """A tag that is too large, or the largest that is still looked at."""
    if not sample.is_tiff:
        return None
    code = int(rng.choice([*_XML, 34682, 34118, 34119, 50431, 40092, 33560, 305, 65001]))
    size = int(rng.choice([HUGE, 2**24 - 1, 2**21 - 1, 2**21 - 1]))
    starts = [value for known, value in TEXT_TAGS.values() if known == code] or [_XML[270][1].encode()]
    start = starts[0] if rng.random() < 0.7 else b""
    bulk = _BULK[rng.integers(len(_BULK))]
    data = (start + bulk * (size // len(bulk)))[:size]
    return with_files(sample, Tiff(sample.data).with_tag(code, data, 2 if code == 270 else 7))


def garbage_beside(rng: np.random.Generator, sample: Sample) -> Files:
    """Something that is no metadata under the name of a text file that would be looked for."""
    stem, _, suffix = sample.name.rpartition(".")
    names = [f"{stem}.txt", f"{stem}.TXT", f"{stem}.hdr", f"{stem}-{suffix}.hdr"]
    name = names[rng.integers(len(names))]
    texts = [JEOL, HITACHI, TESCAN_HDR]
    text = texts[rng.integers(3)]
    known = text.encode()
    section = known + b"[" + b"n" * 400_000 + b"]\n" + b"a=1\n" * 100_000
    garbage: list[bytes | None] = [
        *(None, b"", rng.bytes(5000), b"\xff\xfe" + rng.bytes(4999), known + rng.bytes(5000), known * 3000),
        *(known + bytes(HUGE // 50), section, _garbled(rng, text).encode(), flip(rng, known, 0, len(known))),
        known + (b"9" * 10**6)[: 2**20 - len(known)],
    ]
    return {sample.name: sample.data, name: garbage[rng.integers(len(garbage))]}


def hostile_exif(rng: np.random.Generator, sample: Sample) -> Files | None:
    """EXIF and text chunks that lie, in the formats that are not TIFF."""
    name = sample.name.lower()
    texts = [
        HITACHI,
        HITACHI.replace("9.9", "1e999"),
        "[SemImageFile]\n[" + "n" * 20_000 + "]\n" + "a=1\n" * 5000,
    ]
    comment = texts[rng.integers(len(texts))].encode("utf-16-le")
    found = Image.Exif()
    found[40092], found[270] = comment, "ImageJ=1\nunit=nm\n"
    data = found.tobytes()[6:]
    data = flip(rng, data, 0, 60 if rng.random() < 0.7 else len(data))
    if name.endswith((".jpg", ".jpeg")):
        body = b"Exif\0\0" + data[:65_000]
        return with_files(
            sample, sample.data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + sample.data[2:]
        )
    if not name.endswith(".png"):
        return None
    bomb = zlib.compress(bytes(50 * 2**20))
    chunks = [(b"eXIf", data), (b"zTXt", b"Comment\0\0" + bomb), (b"tEXt", b"Comment\0" + b"9" * 10**6),
              (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb), (b"tEXt", rng.bytes(300))]  # fmt: skip
    kind, body = chunks[rng.integers(len(chunks))]
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return with_files(sample, sample.data[:33] + chunk * int(rng.choice([1, 3])) + sample.data[33:])
