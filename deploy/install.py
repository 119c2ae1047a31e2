"""Install this work tree, editable, with some of its extras, and say every few seconds how far that is.

python deploy/install.py gateway,local        into the environment of this python

`make` does it when something is needed for the first time. pip by itself is either silent for minutes, or writes
several lines for each of a hundred packages.
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "deploy/constraints.txt"
PACKAGES = Path(sysconfig.get_path("purelib"))

EVERY = 5.0
"""Seconds between two lines: soon enough for a person, and no flood in the log of a CI run."""

NEXT = f"""\
pip stopped; what it says is above. It wants packages from an index (pypi.org, or what its configuration
names: {sys.executable} -m pip config list). Behind a proxy set HTTPS_PROXY, and PIP_INDEX_URL for a mirror;
then run the same command again: it goes on with what is there.
"""


class Progress:
    """What pip has done so far, by the lines that it writes."""

    def __init__(self) -> None:
        self._found, self._last, self._chosen = 0, "", 0
        self._before = _installed()

    def take(self, line: str) -> None:
        """Read one line."""
        words = line.split()
        match words[:2]:
            case ["Collecting" | "Processing", _]:
                self._found += 1
            case ["Downloading", file]:
                name, version = file.rpartition("/")[2].split("-")[:2]
                self._last = f", now {name} {version} {' '.join(words[2:])}"
            case ["Installing", "collected"]:
                self._chosen = line.count(",") + 1

    def __str__(self) -> str:
        if self._chosen:
            return f"unpacked {_installed() - self._before} of {self._chosen} packages"
        if not self._found:
            return "reading what is wanted"
        return f"fetched {self._found} packages{self._last}"


def _installed() -> int:
    return len(list(PACKAGES.glob("*.dist-info")))


def run_pip(extras: str, say: Callable[[str], None]) -> int:
    """Run it to its end, and say how far it is; its errors and warnings go where they always go."""
    command = [
        *(sys.executable, "-m", "pip", "install", "--disable-pip-version-check"),
        *(
            "--progress-bar=off",
            "--constraint",
            str(CONSTRAINTS),
            "--editable",
            f"{ROOT}[{extras}]",
        ),
    ]
    progress = Progress()
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own interpreter
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=hand_over, args=(pip.stdout, lines), daemon=True).start()
    due = time.monotonic() + EVERY
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            say(str(progress))
            due += EVERY
            continue
        if not line:
            return pip.wait()
        progress.take(line)


def hand_over(output: IO[str] | None, lines: queue.SimpleQueue[str]) -> None:
    """Read each line as it comes; an empty one is the end."""
    for line in output or ():
        lines.put(line)
    lines.put("")


def main() -> int:
    """Install what the command line names; return pip's exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("extras", help="of pyproject.toml, with commas between them")
    extras = parser.parse_args().extras
    print(
        f"Installing dialback with {extras} into {sys.prefix}; it takes a minute or so.", flush=True
    )
    begun = time.monotonic()
    code = run_pip(
        extras, lambda what: print(f"{time.monotonic() - begun:5.0f} s  {what}", flush=True)
    )
    if code:
        print(NEXT, file=sys.stderr)
    else:
        print(f"Installed, after {time.monotonic() - begun:.0f} s.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
