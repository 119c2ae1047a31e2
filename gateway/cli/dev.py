"""``dialback dev``: a local Lambda, and the gateway in front of it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gateway.config import GatewaySettings
    from gateway.route_settings import RouteSettings
    from gateway.routes import RouteTable

DESCRIPTION = """\
Run functions on this machine as Lambda would, with the gateway in front of them: worker processes
with the real Python runtime, one request at a time each, frozen in between, killed at their timeout.
Changed code is loaded anew.

  dialback dev app.py:handler
  curl -N http://127.0.0.1:8080/

  dialback dev site.py:handler --route /chat=chat.py:handler --env STAGE=dev --timeout 60

A route serves its path and everything below it; the longest one wins; the function sees the whole
path. Any AWS SDK can call the functions too: its endpoint is the admin listener, and the names are
printed at the start.
"""

_HINTS = {
    "edge": "--port (and --host)",
    "callback": "--callback-port",
    "admin": "--admin-port",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "target",
        metavar="FILE.py:HANDLER",
        nargs="?",
        help="the function that serves /; may be left out when there is a --route",
    )
    _add_addresses(parser)
    _add_functions(parser)
    parser.set_defaults(run=_run)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    add, port = parser.add_argument, arguments.port
    add("--host", help="address to serve on, and for functions to dial (127.0.0.1)")
    add("--port", type=port, help="for clients (8080; 0: any free one)")
    add("--callback-port", type=port, metavar="PORT", help="for functions that dial back (8081)")
    add("--admin-port", type=port, metavar="PORT", help="for operators, on loopback (9090)")
    add("--callback-url", metavar="ws://HOST:PORT", help="what functions dial, if not the above")


def _add_functions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--timeout", type=arguments.seconds, default=30.0, help="seconds a function may run (30)")
    add(
        "--concurrency",
        type=arguments.count,
        default=16,
        metavar="N",
        help="workers per function (16)",
    )
    add(
        "--env",
        type=arguments.pair,
        action="append",
        default=[],
        metavar="K=V",
        help="variable for the functions; repeatable",
    )
    add(
        "--route",
        type=arguments.route,
        action="append",
        default=[],
        metavar="/PATH=FILE.py:HANDLER",
        help="a further function; repeatable",
    )


def _run(options: argparse.Namespace) -> int:
    from gateway import log
    from gateway.server import Job, run

    settings = _settings(options, os.environ)
    routes = _routes(options)
    log.set_up(settings.log_level, settings.log_format, sys.stderr)
    return run(
        Job(
            settings=settings,
            routes=routes,
            development=True,
            hints=_HINTS,
            say=lambda line: print(line, flush=True),
        )
    )


def _settings(options: argparse.Namespace, environ: Mapping[str, str]) -> GatewaySettings:
    """Return the settings of `dev`: flags over environment over defaults."""
    from gateway.address import Address
    from gateway.callback_url import check_callback_url
    from gateway.config import GatewaySettings, from_environment
    from gateway.errors import ConfigError

    def listener(address: Address, host: str | None, port: int | None) -> Address:
        return Address(host or address.host, address.port if port is None else port)

    settings = from_environment(GatewaySettings(), environ)
    if settings.workers > 1:
        raise ConfigError("DIALBACK_WORKERS: dev is one process; use dialback serve for several")
    settings = replace(
        settings,
        edge=listener(settings.edge, options.host, options.port),
        callback=listener(settings.callback, options.host, options.callback_port),
        admin=listener(settings.admin, None, options.admin_port),
    )
    if options.callback_url is not None:
        try:
            url = check_callback_url(options.callback_url)
        except ValueError as error:
            raise ConfigError(f"--callback-url: {error}") from error
        settings = replace(settings, callback_url=url)
    return settings


def _routes(options: argparse.Namespace) -> RouteTable:
    from gateway.errors import ConfigError
    from gateway.routes import build_routes

    if options.target is None and not options.route:
        raise ConfigError("nothing to serve: name a function, as in `dialback dev app.py:handler`")
    routes = []
    if options.target is not None:
        routes.append(_route(options, "/", options.target, f"argument {options.target}"))
    for text in options.route:
        path, _, target = text.partition("=")
        routes.append(_route(options, path, target, f"--route {text}"))
    return build_routes(routes)


def _route(options: argparse.Namespace, path: str, target: str, where: str) -> RouteSettings:
    from gateway.route_settings import RouteSettings, route_timeout

    return RouteSettings(
        where=where,
        path=path,
        target=target,
        base=Path.cwd(),
        function_timeout=options.timeout,
        timeout=route_timeout(options.timeout),
        request_body="spill",
        concurrency=options.concurrency,
        env=dict(options.env),
    )
