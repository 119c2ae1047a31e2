"""The process that fuzzes: ``python -m tests.fuzz.inside TARGET FLAGS``.

atheris instruments what is imported while it watches, and ends the process; so nothing of the code under
test may be imported before, and this module imports no more than it needs.
"""

from __future__ import annotations

import shlex
import sys
from typing import NoReturn

import atheris

from tests.fuzz.registry import TARGETS


def main(name: str, flags: list[str]) -> NoReturn:
    target = TARGETS[name]
    early = [module for module in sys.modules if module.partition(".")[0] in target.code]
    if early:
        raise AssertionError(f"imported before the fuzzer could see it: {early}")
    with atheris.instrument_imports(include=list(target.code)):
        harness = target.load()
    # libFuzzer merges in processes of its own: a shell starts its first argument with other flags.
    again = shlex.join([sys.executable, "-m", "tests.fuzz.inside", name])
    atheris.Setup([again, *flags], harness)
    atheris.Fuzz()
    raise AssertionError("atheris ends the process")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
