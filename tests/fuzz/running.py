"""Runs `tests.fuzz.inside`, with limits, and looks after what it finds."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.nasty import seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.registry import Target

REPOSITORY = Path(__file__).parents[2]
WORK = REPOSITORY / ".fuzz"
RSS_LIMIT_MB = 512
"""Python, the code under test and the fuzzer's own tables take some 100 MiB."""
INPUT_SECONDS = 10
"""No input may take longer: a parser that does hangs."""
KEPT_FILES = 60
"""Of each target: enough for every branch, few enough to read through."""


def command(target: Target, *flags: str) -> list[str]:
    """The command line that fuzzes `target` with these flags of libFuzzer."""
    return [sys.executable, "-m", "tests.fuzz.inside", target.name, *flags]


def limits(target: Target) -> list[str]:
    """What bounds every run.

    libFuzzer looks at ru_maxrss, and Linux lets a process begin with that of whoever started it: a pytest
    that has run for long may be above the limit itself.
    """
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [
        f"-max_len={target.max_len}",
        f"-rss_limit_mb={RSS_LIMIT_MB + ours}",
        f"-timeout={INPUT_SECONDS}",
    ]


def environment() -> dict[str, str]:
    """One seed of libFuzzer, one run: hashes must not differ either."""
    return {**os.environ, "PYTHONHASHSEED": "0"}


def finished(argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a fuzzer to its end; `stdout` holds everything that it said.

    Raises:
        subprocess.TimeoutExpired: it did not end by itself.
    """
    return subprocess.run(
        argv,
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def fuzz(target: Target, flags: Sequence[str]) -> int:
    """Fuzz in a process of its own, showing its progress; the exit code, 0 if nothing was found."""
    work = WORK / target.name
    work.mkdir(parents=True, exist_ok=True)
    prefix = WORK / f"{target.name}-"
    known = set(WORK.glob(f"{target.name}-*"))
    print(f"== {target.name}", flush=True)
    argv = command(target, *limits(target), f"-artifact_prefix={prefix}", *flags)
    code = subprocess.run(
        [*argv, str(work), str(target.corpus)], cwd=REPOSITORY, env=environment(), check=False
    ).returncode
    for found in sorted(set(WORK.glob(f"{target.name}-*")) - known):
        print(f"{target.name}: found an input that is not handled; replay it with")
        print(f"  {sys.executable} -m tests.fuzz {target.name} --replay {found}", flush=True)
    return code


def keep(target: Target) -> None:
    """Make the kept corpus as small as it can be for what it and the work corpus cover.

    What is written by hand stays in any case.
    """
    with tempfile.TemporaryDirectory() as directory:
        merged = Path(directory)
        sources = [str(path) for path in (target.corpus, WORK / target.name) if path.is_dir()]
        prefix = f"-artifact_prefix={WORK / target.name}-"
        argv = command(target, *limits(target), prefix, "-set_cover_merge=1", directory, *sources)
        subprocess.run(argv, cwd=REPOSITORY, env=environment(), check=True)
        # Long inputs cover the most; of those that add little the corpus can do without.
        found = sorted(merged.iterdir(), key=lambda path: -path.stat().st_size)
        written = [data for data in seeds(target.name) if len(data) <= target.max_len]
        inputs = dict.fromkeys((*written, *(path.read_bytes() for path in found)))
    target.corpus.mkdir(parents=True, exist_ok=True)
    for old in target.corpus.iterdir():
        old.unlink()
    for data in list(inputs)[:KEPT_FILES]:
        save(target, data)
    print(f"{target.name}: {len(inputs)} inputs worth keeping, {KEPT_FILES} at most kept")


def save(target: Target, data: bytes) -> Path:
    """Put one input into the kept corpus, named by its content."""
    target.corpus.mkdir(parents=True, exist_ok=True)
    path = target.corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()[:16]
    path.write_bytes(data)
    return path
