"""Where in a configuration file something stands: TOML's own reader keeps no positions."""

from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[(?P<one_of>\[)?\s*(?P<name>[A-Za-z0-9_.-]+)\s*\]")
_KEY = re.compile(r"\s*(?P<name>[A-Za-z0-9_-]+)\s*=")


class Lines:
    """The lines of a file that begin a table or a key.

    Args:
        text: TOML that has been read without an error.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        counts: dict[str, int] = {}
        table = ""
        for number, line in enumerate(text.splitlines(), 1):
            if (found := _TABLE.match(line)) is not None:
                if found["one_of"]:
                    counts[found["name"]] = counts.get(found["name"], -1) + 1
                table = _place(found["name"], counts)
                self._lines.setdefault(table, number)
            elif (found := _KEY.match(line)) is not None:
                self._lines.setdefault(f"{table}.{found['name']}".lstrip("."), number)

    def at(self, place: str) -> str:
        """Return ``PLACE (line 7)``; of what has no line of its own, the table's; else the place.

        Args:
            place: such as ``gateway.timing.ping`` or ``routes[0].target``.
        """
        outer = place
        while outer:
            if outer in self._lines:
                return f"{place} (line {self._lines[outer]})"
            outer = outer.rpartition(".")[0]
        return place


def _place(name: str, counts: dict[str, int]) -> str:
    first, dot, rest = name.partition(".")
    return f"{first}[{counts[first]}]{dot}{rest}" if first in counts else name
