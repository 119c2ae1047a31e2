"""``dialback check-config``: reads what ``dialback serve`` would, and stops."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Say whether a file is good, before `dialback serve` reads it.

  dialback check-config dialback.toml && dialback serve --config dialback.toml

It reads the file as `dialback serve` would, imports every handler in a process of its own, and stops: with
exit code 0 if all is good, with 2 and one line that says what to do if it is not. Nothing listens. What may
stand in the file is shown by `dialback settings`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument("file", type=arguments.file, metavar="FILE.toml", help="the settings")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from gateway.config import load
    from gateway.credentials import read_credentials
    from gateway.functions import check_handlers, check_places
    from gateway.routes import build_routes
    from gateway.sockets import check_listeners
    from gateway.workers import plan

    settings = load(options.file, os.environ)
    gateway = settings.gateway
    check_listeners(gateway.edge, plan.callback_addresses(gateway), gateway.admin)
    routes = build_routes(settings.routes)
    read_credentials(gateway)
    plan.check(gateway, routes)
    check_handlers(routes)
    check_places(routes)
    count = "1 route" if len(routes) == 1 else f"{len(routes)} routes"
    print(f"{options.file}: good, {count}")
    for route in routes:
        print(f"  {route.label} -> {route.target}")
    return 0
