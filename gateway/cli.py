"""The command line. What a subcommand needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from typing_extensions import override

from gateway import cli_doctor, cli_help

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config import GatewaySettings
    from gateway.route_settings import RouteSettings
    from gateway.routes import RouteTable

USAGE_ERROR = 2
INTERRUPTED = 128 + 2  # as shells report SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 2 for a mistake in arguments or settings."""
    options = _parser().parse_args(argv)
    from gateway.errors import ConfigError

    try:
        code: int = options.run(options)
    except ConfigError as error:
        print(f"dialback: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:  # before the event loop had its own way to stop
        return INTERRUPTED
    return code


# ---------------------------------------------------------------- subcommands


def _dev(options: argparse.Namespace) -> int:
    settings = _dev_settings(options, os.environ)
    return _run(settings, _dev_routes(options), development=True)


def _serve(options: argparse.Namespace) -> int:
    from gateway.config import load
    from gateway.routes import build_routes

    settings = load(options.config, os.environ)
    return _run(settings.gateway, build_routes(settings.routes), development=False)


def _check_config(options: argparse.Namespace) -> int:
    from gateway.app import read_tokens
    from gateway.config import load
    from gateway.functions import check_handlers
    from gateway.routes import build_routes

    settings = load(options.file, os.environ)
    routes = build_routes(settings.routes)
    read_tokens(settings.gateway.token_keys)
    check_handlers(routes)
    count = "1 route" if len(routes) == 1 else f"{len(routes)} routes"
    print(f"{options.file}: good, {count}")
    for route in routes:
        print(f"  {route.label} -> {route.target}")
    return 0


def _run(settings: GatewaySettings, routes: RouteTable, *, development: bool) -> int:
    from gateway import log
    from gateway.server import Job, run

    log.set_up(settings.log_level, settings.log_format, sys.stderr)
    return run(
        Job(
            settings=settings,
            routes=routes,
            development=development,
            hints=_HINTS_DEV if development else _HINTS_SERVE,
            say=lambda line: print(line, flush=True),
        )
    )


_HINTS_DEV = {
    "edge": "--port (and --host)",
    "callback": "--callback-port",
    "admin": "--admin-port",
}
_HINTS_SERVE = {
    name: f"gateway.{name} in the file, or DIALBACK_{name.upper()}"
    for name in ("edge", "callback", "admin")
}


def _dev_settings(options: argparse.Namespace, environ: Mapping[str, str]) -> GatewaySettings:
    """Return the settings of `dev`: flags over environment over defaults."""
    from gateway.address import Address
    from gateway.config import GatewaySettings, check_callback_url, from_environment
    from gateway.errors import ConfigError

    def listener(address: Address, host: str | None, port: int | None) -> Address:
        return Address(host or address.host, address.port if port is None else port)

    settings = from_environment(GatewaySettings(), environ)
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


def _dev_routes(options: argparse.Namespace) -> RouteTable:
    from gateway.errors import ConfigError
    from gateway.routes import build_routes

    if options.target is None and not options.route:
        raise ConfigError("nothing to serve: name a function, as in `dialback dev app.py:handler`")
    routes = []
    if options.target is not None:
        routes.append(_dev_route(options, "/", options.target, f"argument {options.target}"))
    for text in options.route:
        path, _, target = text.partition("=")
        routes.append(_dev_route(options, path, target, f"--route {text}"))
    return build_routes(routes)


def _dev_route(options: argparse.Namespace, path: str, target: str, where: str) -> RouteSettings:
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


# ---------------------------------------------------------------- arguments


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line; the usage is a --help away."""

    @override
    def error(self, message: str) -> NoReturn:
        print(f"dialback: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


class _Version(argparse.Action):
    """Prints the version of the installed distribution."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"dialback {version('dialback')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _plain(_Parser(prog="dialback", description=cli_help.DESCRIPTION))
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_dev(
        _plain(commands.add_parser("dev", help="run functions here", description=cli_help.DEV))
    )
    serve = _plain(commands.add_parser("serve", help="run as a file says"))
    serve.description = cli_help.SERVE.format(variables=_variables())
    serve.add_argument("--config", type=Path, required=True, metavar="FILE.toml")
    serve.set_defaults(run=_serve)
    check = _plain(commands.add_parser("check-config", help="read a file and check every handler"))
    check.description = cli_help.CHECK
    check.add_argument("file", type=Path, metavar="FILE.toml")
    check.set_defaults(run=_check_config)
    doctor = _plain(commands.add_parser("doctor", help="find out why a function does not stream"))
    cli_doctor.add_arguments(doctor, _seconds)
    return parser


def _add_dev(dev: argparse.ArgumentParser) -> None:
    add = dev.add_argument
    add(
        "target",
        metavar="FILE.py:HANDLER",
        nargs="?",
        help="the function that serves /; may be left out when there is a --route",
    )
    add("--host", help="address to serve on, and for functions to dial (127.0.0.1)")
    add("--port", type=_port, help="for clients (8080; 0: any free one)")
    add("--callback-port", type=_port, metavar="PORT", help="for functions that dial back (8081)")
    add("--admin-port", type=_port, metavar="PORT", help="for operators, on loopback (9090)")
    add("--callback-url", metavar="ws://HOST:PORT", help="what functions dial, if not the above")
    add("--timeout", type=_seconds, default=30.0, help="seconds a function may run (30)")
    add("--concurrency", type=_count, default=16, metavar="N", help="workers per function (16)")
    add(
        "--env",
        type=_pair,
        action="append",
        default=[],
        metavar="K=V",
        help="variable for the functions; repeatable",
    )
    add(
        "--route",
        type=_route,
        action="append",
        default=[],
        metavar="/PATH=FILE.py:HANDLER",
        help="a further function; repeatable",
    )
    dev.set_defaults(run=_dev)


def _plain(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _variables() -> str:
    if not {"--help", "-h"} & set(sys.argv):
        return ""  # reading the table would import what only help shows
    from gateway.config import ENVIRONMENT

    return ", ".join(ENVIRONMENT)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 0 to 65535")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= 900:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0, up to 900")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and name.isidentifier():
        return name, value
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")


def _route(text: str) -> str:
    if text.startswith("/") and "=" in text:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not /PATH=FILE.py:HANDLER")


if __name__ == "__main__":
    sys.exit(main())
