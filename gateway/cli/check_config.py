"""``dialback check-config``: reads what ``dialback serve`` would, and stops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Read a file as `dialback serve` would, import every handler in a process of its own, and stop: with
exit code 0 if all is good, with 2 and one line that says what to do if it is not. Nothing listens.

  dialback check-config dialback.toml && dialback serve --config dialback.toml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument("file", type=Path, metavar="FILE.toml")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from gateway.config import load
    from gateway.credentials import read_credentials
    from gateway.functions import check_handlers
    from gateway.routes import build_routes
    from gateway.workers import plan

    settings = load(options.file, os.environ)
    routes = build_routes(settings.routes)
    read_credentials(settings.gateway)
    plan.check(settings.gateway, routes)
    check_handlers(routes)
    count = "1 route" if len(routes) == 1 else f"{len(routes)} routes"
    print(f"{options.file}: good, {count}")
    for route in routes:
        print(f"  {route.label} -> {route.target}")
    return 0
