"""The configuration reference as Markdown, of what `dialback settings` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.cli import reference
from gateway.cli.reference import REQUIRED, Setting, toml
from gateway.config import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Sequence


def gateway_table() -> str:
    """Return the keys of ``[gateway]`` as a table."""
    return _with_variables(reference.of_gateway(), "meaning")


def timing_table() -> str:
    """Return the keys of ``[gateway.timing]``; all are seconds."""
    return _with_variables(reference.of_timing(), "how long to wait, and why so long")


def route_table() -> str:
    """Return the keys of ``[[routes]]``."""
    return _with_kinds(reference.of_routes())


def cors_table() -> str:
    """Return the keys of ``[routes.cors]``."""
    return _with_kinds(reference.of_cors())


def required_header_table() -> str:
    """Return the keys of ``require_header``."""
    return _with_kinds(reference.of_required_header())


def _with_variables(settings: Sequence[Setting], last: str) -> str:
    variables = {key: name for name, key in ENVIRONMENT.items()}
    rows = [
        (f"`{one.key}`", _shown(one.default), f"`{variables[one.key]}`", one.meaning)
        for one in settings
    ]
    return _table(("key", "default", "variable", last), rows)


def _with_kinds(settings: Sequence[Setting]) -> str:
    rows = [
        (
            f"`{one.key}`",
            ", ".join(f"`{word}`" for word in one.words) or one.kind,
            _shown(one.default),
            one.meaning,
        )
        for one in settings
    ]
    return _table(("key", "value", "default", "meaning"), rows)


def _shown(value: Any) -> str:
    if value is REQUIRED:
        return "required"
    match value:
        case None | () | {}:
            return "-"
        case int() | float() if not isinstance(value, bool):
            return f"{value:,.12g}"
        case _:
            return f"`{toml(value)}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )
