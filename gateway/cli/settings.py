"""``dialback settings``: every setting with its default and its meaning, as a file to begin with."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from gateway.cli.reference import Setting

DESCRIPTION = """\
Show every setting of the gateway, with its default and what it does, in the form of the file.

  dialback settings                        to read
  dialback settings > dialback.toml        to begin with: a file with one route, and all else as it is by default
  dialback check-config dialback.toml      says whether it is good

Each key of [gateway] and [gateway.timing] can be a variable instead: DIALBACK_EDGE, DIALBACK_PING.
"""

FIRST = """\
# Every setting of the dialback gateway. What begins with "#" and a key shows its default, or what kind of value
# it has; take the "#" away to change it. Variables override [gateway] and [gateway.timing]: DIALBACK_EDGE,
# DIALBACK_PING, ...; lists have commas between there. Addresses are HOST:PORT, times are seconds, and files are
# looked for beside this one.
"""

ROUTES = """\
# The most specific route wins: by host, then path (exact, template, prefix), then length, then one that lists the
# method. A target is local:FILE.py:HANDLER, aws:NAME-OR-ARN or function_url:https://...
"""

GIVEN = {"path": '"/"', "target": '"local:app.py:handler"'}
"""What a route must have; the one that the file begins with."""

WIDTH = 116


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    print("\n".join(lines()))
    return 0


def lines() -> Iterator[str]:
    """Return the lines of the file."""
    from gateway.cli import reference

    tables = {"require_header": reference.of_required_header, "cors": reference.of_cors}
    routes = reference.of_routes()
    yield FIRST
    yield from ("[gateway]", "", *_keys(reference.of_gateway()))
    yield from ("[gateway.timing]", "", *_keys(reference.of_timing()))
    yield ROUTES
    yield from ("[[routes]]", "", *_keys(one for one in routes if one.key not in tables))
    for table in (one for one in routes if one.key in tables):
        yield from (*_comment(table.meaning), f"#[routes.{table.key}]", "")
        yield from _keys(tables[table.key]())


def _keys(settings: Iterable[Setting]) -> Iterator[str]:
    for setting in settings:
        told = setting.words or "," in setting.kind  # of a bare text or number the line below tells
        allowed = f" ({', '.join(setting.words) or setting.kind})" if told else ""
        yield from (*_comment(setting.meaning + allowed), _line(setting), "")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _line(setting: Setting) -> str:
    from gateway.cli.reference import REQUIRED, toml

    if setting.key in GIVEN:
        return f"{setting.key} = {GIVEN[setting.key]}"
    if setting.default is REQUIRED or setting.default is None:
        kind = setting.kind.partition(",")[0].upper()
        return f"#{setting.key} = {setting.words[0] if setting.words else kind}"
    return f"#{setting.key} = {toml(setting.default)}"
