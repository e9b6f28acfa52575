"""Sections of ``Key=Value`` lines."""

from __future__ import annotations

# Each key repeats it: a long one could turn a small text into gigabytes.
_LONGEST_SECTION = 100


def parse_ini(text: str) -> dict[str, str]:
    """Return ``"Section/Key" -> value``; values are verbatim, so ``%`` and quotes mean nothing.

    A key that occurs again (repeated sections) gets the suffix ``#2``, ``#3`` and so on.
    """
    raw: dict[str, str] = {}
    seen: dict[str, int] = {}
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1][:_LONGEST_SECTION]
        elif "=" in line:
            key, _, value = line.partition("=")
            name = f"{section}/{key.strip()}"
            seen[name] = seen.get(name, 0) + 1
            raw[name if seen[name] == 1 else f"{name}#{seen[name]}"] = value
    return raw
