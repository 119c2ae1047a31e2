"""Every setting, taken from the settings' own types, defaults and descriptions: one reference for all who show it."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, dataclass, fields
from typing import Any

import msgspec

from gateway.config import GatewaySettings, GatewayTable
from gateway.route_settings import RequiredHeader, RouteSettings, RouteTable
from gateway.rules import Cors
from gateway.timing import Timing

REQUIRED = object()
"""In place of a default."""

_ENTRY = re.compile(r"^([a-z_]+): (.*)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table.

    Attributes:
        key: its name.
        default: what holds when it is absent, or `REQUIRED`.
        kind: of value, e.g. ``number, 0 to 900``.
        words: the only values that it may have, as TOML; empty: any of the kind.
        meaning: what it does, in a sentence.
    """

    key: str
    default: Any
    kind: str
    words: tuple[str, ...]
    meaning: str


def of_gateway() -> list[Setting]:
    """Return the keys of ``[gateway]``, but for its timers."""
    found = _settings(GatewayTable, GatewaySettings)
    return [setting for setting in found if setting.key != "timing"]


def of_timing() -> list[Setting]:
    """Return the keys of ``[gateway.timing]``; all are seconds."""
    return _settings(Timing)


def of_routes() -> list[Setting]:
    """Return the keys of ``[[routes]]``."""
    return _settings(RouteTable, RouteSettings)


def of_required_header() -> list[Setting]:
    """Return the keys of ``require_header``."""
    return _settings(RequiredHeader)


def of_cors() -> list[Setting]:
    """Return the keys of ``[routes.cors]``."""
    return _settings(Cors)


def toml(value: Any) -> str:
    """Return a default as it would stand in the file."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:.12g}"
        case tuple():
            return "[" + ", ".join(f'"{one}"' for one in value) + "]"
        case dict():
            return "{}"
        case _:
            return f'"{value}"'


def _settings(table: type[msgspec.Struct], read: type | None = None) -> list[Setting]:
    """Return the keys of a table.

    Args:
        table: what the file is read into.
        read: what is made of it, which has the defaults and the descriptions; absent: the same.
    """
    info = msgspec.inspect.type_info(table)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - for the type checker
    kinds = {field.name: _without_null(field.type) for field in info.fields}
    texts, defaults = _described(read or table), _defaults(read) if read else {}
    return [
        Setting(
            key=field.name,
            default=REQUIRED if field.required else defaults.get(field.name, field.default),
            kind=_kind(kinds[field.name]),
            words=_words(kinds[field.name]),
            meaning=texts[field.name],
        )
        for field in msgspec.structs.fields(table)
    ]


def _described(owner: type) -> dict[str, str]:
    """Return what the ``Attributes:`` of a docstring say of each one."""
    _, _, section = (inspect.getdoc(owner) or "").partition("Attributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        entry = _ENTRY.match(line.strip())
        if entry and line.startswith("    ") and not line.startswith("     "):
            name = entry[1]
            texts[name] = entry[2]
        elif line.strip():
            texts[name] += f" {line.strip()}"
    return {name: text.replace("``", "`") for name, text in texts.items()}


def _defaults(owner: type) -> dict[str, Any]:
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(owner)
    }


def _without_null(kind: Any) -> Any:
    """TOML has none: what may be absent has one kind beside."""
    if isinstance(kind, msgspec.inspect.UnionType):
        [kind] = (one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    return kind


def _kind(kind: Any) -> str:
    match kind:
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "number" + _range(kind)
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return "list of texts"
        case msgspec.inspect.DictType() | msgspec.inspect.StructType():
            return "table"
        case _:
            return "text"


def _words(kind: Any) -> tuple[str, ...]:
    match kind:
        case msgspec.inspect.LiteralType():
            return tuple(f'"{value}"' for value in kind.values)
        case msgspec.inspect.BoolType():
            return ("true", "false")
        case _:
            return ()


def _range(kind: Any) -> str:
    if kind.le is None:
        return ""
    low = f"{kind.ge:,g}" if kind.ge is not None else f"over {kind.gt:,g}"
    return f", {low} to {kind.le:,.12g}"
