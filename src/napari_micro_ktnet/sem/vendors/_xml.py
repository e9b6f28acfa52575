"""XML from files that nobody vouches for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

LARGEST_XML = 2**24
_MOST_ELEMENTS = 200_000
_DEEPEST = 100
_LONGEST_NAME = 500
# All that a document type could do is define entities, which may grow without bound or name files.
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")


class _Bounded(ElementTree.TreeBuilder):
    """Stops at a number of elements and a depth that no microscope writes."""

    def __init__(self) -> None:
        super().__init__()
        self._left = _MOST_ELEMENTS
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > _DEEPEST or len(tag) > _LONGEST_NAME:
            raise ValueError("more elements, or longer names, than microscope metadata have")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse_xml(text: str) -> Element | None:
    """Root element, None for what is not XML or not safe to read.

    Parameters
    ----------
    text : str
        The decoded document. Text before its first ``<`` and NUL bytes behind it are ignored.

    Returns
    -------
    Element or None
        None where the text is no XML, larger than `LARGEST_XML` characters, has too many elements or
        too long names, or declares anything: a document with a document type is never parsed, so
        that entities are neither expanded nor fetched.
    """
    text = text[max(text.find("<"), 0) :].rstrip("\0 \t\r\n")
    if not text or len(text) > LARGEST_XML or _DECLARATION.search(text):
        return None
    parser = ElementTree.XMLParser(target=_Bounded())  # noqa: S314 - nothing is declared
    try:
        parser.feed(text)
        root: Element = parser.close()
    except (ElementTree.ParseError, ValueError):
        return None
    return root


def local(tag: str) -> str:
    """Name of an element or attribute without its namespace."""
    return tag.rpartition("}")[2]


def flatten(root: Element) -> dict[str, str]:
    """Return ``"Parent/Child" -> text`` and ``"Parent/Child@attribute" -> value`` below the root.

    Namespaces are left out. What occurs again gets the suffix ``#2``, ``#3`` and so on.
    What would take more than `LARGEST_XML` characters of paths is left out.
    """
    raw: dict[str, str] = {}
    seen: dict[str, int] = {}
    left = LARGEST_XML
    for path, element in _walk(root, ""):
        # Every path repeats the names above it: a small file could ask for gigabytes.
        left -= len(path) * (1 + len(element.attrib))
        if left < 0:
            break
        seen[path] = seen.get(path, 0) + 1
        name = path if seen[path] == 1 else f"{path}#{seen[path]}"
        if element.text and element.text.strip():
            raw[name] = element.text
        for key, value in element.attrib.items():
            raw[f"{name}@{local(key)}"] = value
    return raw


def _walk(parent: Element, prefix: str) -> Iterator[tuple[str, Element]]:
    # The depth is bounded by the parser.
    for child in parent:
        path = f"{prefix}{local(child.tag)}"
        yield path, child
        yield from _walk(child, f"{path}/")
