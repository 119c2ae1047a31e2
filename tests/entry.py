"""What ``python -m tests...`` can be asked: the docstring of each is what its ``--help`` says."""

from __future__ import annotations

import argparse


def parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return a parser of arguments that explains itself.

    Args:
        name: of the module, as it is run.
        text: its docstring: what it is for, examples, how long it takes, what the exit code says.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
