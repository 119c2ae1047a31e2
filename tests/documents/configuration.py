"""The configuration reference, made of the settings' own types, defaults and descriptions."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.config import ENVIRONMENT, GatewaySettings
from gateway.route_settings import RequiredHeader, RouteSettings, RouteTable
from gateway.rules import Cors
from gateway.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ENTRY = re.compile(r"^([a-z_]+): (.*)$")
_NOT_KEYS = {"where", "base", "timing"}


def described(owner: type) -> dict[str, str]:
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


def gateway_table() -> str:
    """Return the keys of ``[gateway]`` as a table."""
    variables = {key: name for name, key in ENVIRONMENT.items()}
    texts = described(GatewaySettings)
    rows = [
        (
            f"`{key}`",
            _shown(default),
            f"`{variables[key]}`" if key in variables else "-",
            texts[key],
        )
        for key, default in _defaults(GatewaySettings)
    ]
    return _table(("key", "default", "variable", "meaning"), rows)


def timing_table() -> str:
    """Return the keys of ``[gateway.timing]``; all are seconds."""
    variables = {key: name for name, key in ENVIRONMENT.items()}
    texts = described(Timing)
    rows = [
        (f"`{field.name}`", _shown(field.default), f"`{variables[field.name]}`", texts[field.name])
        for field in msgspec.structs.fields(Timing)
    ]
    return _table(("key", "default", "variable", "how long to wait, and why so long"), rows)


def route_table() -> str:
    """Return the keys of ``[[routes]]``."""
    return _struct_table(RouteTable, described(RouteSettings), dict(_defaults(RouteSettings)))


def cors_table() -> str:
    """Return the keys of ``[routes.cors]``."""
    return _struct_table(Cors, described(Cors), {})


def required_header_table() -> str:
    """Return the keys of ``require_header``."""
    return _struct_table(RequiredHeader, described(RequiredHeader), {})


def _struct_table(table: type[msgspec.Struct], texts: dict[str, str], read: dict[str, Any]) -> str:
    info = msgspec.inspect.type_info(table)
    assert isinstance(info, msgspec.inspect.StructType)
    types = {field.name: field.type for field in info.fields}
    rows = []
    for field in msgspec.structs.fields(table):
        default = read.get(field.name, field.default)
        shown = "required" if field.required else _shown(default)
        rows.append((f"`{field.name}`", _kind(types[field.name]), shown, texts[field.name]))
    return _table(("key", "value", "default", "meaning"), rows)


def _defaults(owner: type) -> Iterator[tuple[str, Any]]:
    for field in fields(owner):
        if field.name not in _NOT_KEYS:
            made = field.default_factory
            yield field.name, field.default if made is MISSING else made()


def _kind(kind: Any) -> str:
    if isinstance(kind, msgspec.inspect.UnionType):  # with None, for what may be absent
        [kind] = (one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    if isinstance(kind, msgspec.inspect.LiteralType):
        return ", ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
        return "number" + _range(kind)
    return _KINDS[type(kind)]


_KINDS: dict[type, str] = {
    msgspec.inspect.BoolType: "`true`, `false`",
    msgspec.inspect.VarTupleType: "list of texts",
    msgspec.inspect.DictType: "table",
    msgspec.inspect.StructType: "table",
    msgspec.inspect.StrType: "text",
}


def _range(kind: Any) -> str:
    if kind.le is None:
        return ""
    low = f"{kind.ge:,g}" if kind.ge is not None else f"over {kind.gt:,g}"
    return f", {low} to {kind.le:,.12g}"


def _shown(value: Any) -> str:
    match value:
        case None | () | {}:
            return "-"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"{value:,.12g}"
        case tuple():
            return f"`{[str(one) for one in value]}`".replace("'", '"')
        case _:
            return f'`"{value}"`'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )
