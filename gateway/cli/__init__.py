"""The command line. What a subcommand needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gateway.cli import check_config, dev, doctor, health, serve, settings
from gateway.cli.arguments import USAGE_ERROR, Command, Parser, Version, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 128 + 2  # as shells report SIGINT

DESCRIPTION = """\
Stream responses out of buffered AWS Lambda functions: the function dials back to this gateway.

  dialback dev app.py:handler              a local Lambda with the real runtime, and the gateway
  dialback serve --config dialback.toml    the gateway, as its file says
  dialback settings                        every setting, as a file to begin with
  dialback check-config dialback.toml      read the file, check every handler, and stop
  dialback doctor --config dialback.toml   find out why a function does not stream
  dialback health                          ask a running gateway whether it is well

"dialback COMMAND --help" explains the flags of each.
"""

_COMMANDS = (
    ("dev", "run functions here", dev),
    ("serve", "run as a file says", serve),
    ("settings", "show every setting", settings),
    ("check-config", "read a file and check every handler", check_config),
    ("doctor", "find out why a function does not stream", doctor),
    ("health", "ask a running gateway whether it is well", health),
)


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


def _parser() -> Parser:
    parser = plain(Parser(prog="dialback", description=DESCRIPTION))
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Command)
    for name, summary, command in _COMMANDS:
        command.add_arguments(plain(commands.add_parser(name, help=summary)))
    return parser
