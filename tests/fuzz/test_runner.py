"""A fuzzer that cannot fail proves nothing: the runner finds a bug, keeps it, and replays it."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

from tests.fuzz import running
from tests.fuzz.choices import Choices
from tests.fuzz.registry import TARGETS
from tests.system_packages import require_module

if TYPE_CHECKING:
    from pathlib import Path

BUG = """
import sys
from tests.fuzz import inside
from tests.fuzz.registry import Target

load = Target.load

def spoiled(target):
    harness = load(target)
    from protocol import codec
    for number, plan in codec._PLANS.items():  # the wire has 32 bits
        bounds = [(at, low, min(high, 2**31) if high == 2**32 - 1 else high) for at, low, high in plan.numbers]
        codec._PLANS[number] = plan._replace(numbers=tuple(bounds))
    return harness

Target.load = spoiled
inside.main(sys.argv[1], sys.argv[2:])
"""


def test_a_bug_is_found_and_its_input_kept(tmp_path: Path) -> None:
    require_module("atheris")
    target = TARGETS["frames"]
    flags = [f"-artifact_prefix={tmp_path}/", "-seed=1", "-max_total_time=20", str(target.corpus)]
    argv = [sys.executable, "-c", BUG, "frames", *running.limits(target), *flags]
    run = running.finished(argv, seconds=50)
    assert run.returncode != 0
    assert "AssertionError: refused" in run.stdout
    assert list(tmp_path.glob("crash-*"))


def test_choices_default_to_the_first_when_the_bytes_run_out() -> None:
    choices = Choices(b"\x05ab")
    assert choices.some(100) == b"ab"
    assert (choices.byte(), choices.flag(), choices.pick("xyz"), choices.near(9)) == (
        0,
        False,
        "x",
        9,
    )
    assert choices.rest() == b""


def test_numbers_stay_within_their_bounds() -> None:
    for how in range(256):
        assert 1 <= Choices(bytes([how])).near(0, 1, low=1, high=300) <= 300


def test_the_limit_lies_above_what_a_run_is_born_with() -> None:
    """Else a fuzzer that a large process starts is out of memory before its first input."""
    (limit,) = (flag for flag in running.limits(TARGETS["frames"]) if "rss" in flag)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert int(limit.partition("=")[2]) >= used + 256
