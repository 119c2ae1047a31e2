"""The C library understands what it is told; in a process of its own, since it is told for good."""

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_glibc_keeps_freed_pages() -> None:
    code = "from gateway.heap import keep_freed_pages as k; raise SystemExit(0 if k() else 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
