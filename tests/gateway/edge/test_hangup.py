"""Watching clients that nobody reads from, where it cannot be done."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gateway.edge.hangup import HangupWatch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has epoll")


class OverAFile:
    """A transport whose descriptor the kernel refuses to watch."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self._file


async def test_what_cannot_be_watched_is_served_and_leaves_no_descriptor(tmp_path: Path) -> None:
    watch = HangupWatch()
    with (tmp_path / "file").open("wb") as file:
        before = len(os.listdir("/proc/self/fd"))
        with watch.watching(OverAFile(file)):  # type: ignore[arg-type]
            assert len(os.listdir("/proc/self/fd")) == before
    watch.close()
