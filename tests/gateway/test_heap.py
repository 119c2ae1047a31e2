"""What C library and collector are told; in a process of its own, since they are told for good."""

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_glibc_keeps_freed_pages() -> None:
    code = "from gateway.heap import keep_freed_pages as k; raise SystemExit(0 if k() else 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_objects_that_stay_cause_no_full_collection() -> None:
    code = """
import gc
from gateway.heap import calm_collector
calm_collector()
assert gc.get_freeze_count() > 1000
before = gc.get_stats()[2]["collections"]
kept = [[] for _ in range(250_000)]
raise SystemExit(gc.get_stats()[2]["collections"] - before)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
