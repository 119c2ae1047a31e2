"""How arguments are read, and how a mistake in one is told."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line; the usage is a --help away."""

    @override
    def error(self, message: str) -> NoReturn:
        print(f"dialback: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


class Command(Parser):
    """Of one command: what it does not know is its own to tell, and not for who called it."""

    @override
    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


class Version(argparse.Action):
    """Prints the version of the installed distribution."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"dialback {version('dialback')}")
        parser.exit()


def plain(parser: Parser) -> Parser:
    """Let texts stand as they are written, and each argument in a line if it can."""
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, max_help_position=36)
    return parser


def file(text: str) -> Path:
    """Read the name of a file; an empty one would be the current folder's."""
    if text:
        return Path(text)
    raise argparse.ArgumentTypeError("'' names no file; is a variable empty?")


def port(text: str) -> int:
    """Read a port."""
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 0 to 65535")


def seconds(text: str) -> float:
    """Read how long a function may run, or something like it."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if 0 < number <= 900:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0, up to 900")


def count(text: str, most: int = 1000) -> int:
    """Read how many."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most}")


def pair(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if equals and name.isidentifier():
        return name, value
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")


def route(text: str) -> str:
    """Check that it is ``/PATH=TARGET``."""
    if text.startswith("/") and "=" in text:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not /PATH=FILE.py:HANDLER")
