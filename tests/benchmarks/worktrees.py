"""Commits checked out beside this work tree, for as long as they are measured."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit; it is gone afterwards.

    Raises:
        ValueError: git knows no such commit.
    """
    commit = commit_of(revision)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, commit)
        git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def commit_of(revision: str) -> str:
    """The short name of a commit.

    Raises:
        ValueError: git knows no such commit.
    """
    try:
        return git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise ValueError(f"{revision!r} is no commit: {error.stderr.strip()}") from error


def dirty() -> bool:
    """Whether the files of this work tree differ from its commit."""
    return bool(git("status", "--porcelain"))


def git(*args: str) -> str:
    """What a git command says."""
    done = subprocess.run(
        ["git", *args], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
