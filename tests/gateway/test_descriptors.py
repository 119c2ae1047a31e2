"""The limit of descriptors; in a process of its own, since it is raised for good."""

from __future__ import annotations

import resource
import subprocess
import sys
import urllib.request

import pytest

from tests.patience import PATIENCE
from tests.system.running import running_dialback

RAISE = """
import logging, resource
from gateway import descriptors
logging.basicConfig(level="{level}", format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
descriptors.raise_limit()
print(descriptors.limit())
"""


def raised(hard: int, level: str = "INFO") -> tuple[int, str]:
    """Start with a soft limit of 256; what may be open then, and what was logged."""
    code = RAISE.format(hard=hard, level=level)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return int(done.stdout), done.stderr.strip()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert raised(512, "DEBUG") == (512, "descriptors: 512 may be open, not 256")


def test_where_the_soft_limit_is_low_a_mistake_is_still_one_line() -> None:
    assert raised(512) == (512, "")


def test_a_limit_that_cannot_be_raised_is_left_without_a_word() -> None:
    assert raised(256) == (256, "")


@pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux only")
def test_a_gateway_raises_it_and_its_functions_have_as_many_as_on_lambda() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with running_dialback("tests/gateway/cli/functions.py:descriptors") as dialback:
            assert resource.prlimit(dialback.pid, resource.RLIMIT_NOFILE) == (hard, hard)
            with urllib.request.urlopen(dialback.url, timeout=PATIENCE) as response:
                assert int(response.read()) == min(1024, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
