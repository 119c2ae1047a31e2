"""``dialback doctor``; what it does is in `gateway.doctor`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Find out, leg by leg, what stands between the gateway and its functions.

  dialback doctor --config dialback.toml
  dialback doctor --config dialback.toml --route /orders --idle 120

It looks at credentials, the right to invoke, whether the function uses lambda_client, and how it reaches the
callback URL, as the function itself sees it: DNS, TCP, TLS, token, idle timeouts. Run it where the gateway
runs, beside it, with the same file; without token_keys in there the gateway refuses its token, and it looks
no further than that.

Code of yours does not run in functions that use lambda_client; others get one OPTIONS request, for the
route's path: for /users/{id} that is /users/id, unless --route names another, such as /users/42.
Exit code: 0 if all is well, 1 if not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--config", type=arguments.file, metavar="FILE.toml", help="that the gateway has"
    )
    parser.add_argument(
        "--route", metavar="/PATH", help="only this one, or the one that serves this path (all)"
    )
    parser.add_argument(
        "--idle",
        type=arguments.seconds,
        default=0.0,
        metavar="SECONDS",
        help="silence that a connection should survive, up to 900",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    import asyncio

    from gateway import log
    from gateway.config import load
    from gateway.credentials import read_keys
    from gateway.doctor import Doctor
    from gateway.errors import ConfigError
    from gateway.routes import build_routes
    from gateway.tokens import Tokens
    from gateway.workers.plan import callback_urls

    settings = load(options.config, os.environ)
    log.set_up("error", settings.gateway.log_format, sys.stderr)
    routes = build_routes(settings.routes)
    chosen = list(routes) if options.route is None else routes.named(options.route)
    if not chosen:
        paths = ", ".join(route.label for route in routes)
        raise ConfigError(f"--route {options.route}: there is none; the file has {paths}")
    urls = callback_urls(settings.gateway)
    keys = settings.gateway.token_keys
    tokens = Tokens(read_keys(keys)) if keys else None
    given = options.route is None or any(options.route in (one.path, one.label) for one in chosen)
    path = None if given else options.route

    async def examine() -> bool:
        doctor = Doctor(routes, urls, tokens, options.idle, lambda line: print(line, flush=True))
        return await doctor.examine(chosen, path)

    return 0 if asyncio.run(examine()) else 1
