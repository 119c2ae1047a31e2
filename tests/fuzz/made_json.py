"""JSON objects near the legal ones: a legal object, and a few decisions that spoil it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from protocol.limits import MAX_INT

if TYPE_CHECKING:
    from tests.fuzz.choices import Choices

#: What JSON can hold where something else is wanted.
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    200,
    4096,
    2**32,
    MAX_INT,
    MAX_INT + 1,
    10**30,
    0.0,
    1.0,
    "",
    "a",
    "\ud800",
    "\u00e9\u20ac",
    "\x00\r\n",
    "stream",
    "reset",
    "lost",
    [],
    {},
    [[]],
    [["a", "b"]],
    [["a", "\u20ac"]],
    [["a", "\udc80"]],
    [["a"]],
    {"status": 200, "headers": []},
    {"offset": 0, "base64": "!"},
)


def spoiled(legal: dict[str, Any], choices: Choices) -> Any:
    """`legal` with some of its values, at any depth, made odd, removed or replaced by free text."""
    made = copy.deepcopy(legal)
    for _ in range(choices.below(4)):
        parent, key = _place(made, choices)
        how = choices.below(4)
        if how == 0 and isinstance(parent, dict):
            parent.pop(key, None)
        elif how == 1:
            parent[key] = choices.some(40).decode("utf-8", "replace")
        elif how == 2:
            parent[key] = choices.near()
        else:
            parent[key] = copy.deepcopy(choices.pick(ODD))
    return made


def _place(made: dict[str, Any], choices: Choices) -> tuple[Any, Any]:
    """A container in `made`, and a key or an index of it."""
    here: Any = made
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = choices.pick(keys) if keys else "extra"
        below = here[key] if keys else None
        if not (isinstance(below, dict | list) and below and choices.flag()):
            return (here, key) if isinstance(here, dict) or keys else (made, "extra")
        here = below


def parsed(data: bytes) -> Any:
    """The JSON in `data`; None if there is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
