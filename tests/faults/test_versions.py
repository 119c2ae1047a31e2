"""A library and a gateway of different age."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.behind import dialback_behind_proxy
from tests.faults.functions import digest_of
from tests.faults.stage import TIMERS, Stage
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
ROUTES = [
    f"--route=/{name}=tests/faults/odd_functions.py:{name}"
    for name in ("other_major", "later_minor")
]


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Stage]:
    with (
        dialback_behind_proxy(*ROUTES, env=TIMERS) as both,
        closing(Stage(*both, tmp_path)) as stage,
    ):
        yield stage


@pytest.mark.fault(64)
def test_versions_that_differ_still_give_a_response(odd: Stage) -> None:
    later = odd.browse("later_minor", total=MIB)
    assert (later.wait_end(), later.digest) == ("clean", digest_of(MIB))
    assert odd.grown("dialback_attaches_total", result="accepted") == 1

    other = odd.browse("other_major", total=MIB)
    assert (other.wait_end(), other.digest) == ("clean", digest_of(MIB))
    odd.assert_over()
    assert odd.grown("dialback_attaches_total", result="accepted") == 1
    assert odd.grown("dialback_invokes_total", route="/other_major", result="receipt") == 1
    eventually(lambda: "this gateway speaks dialback.v1" in odd.dialback.stderr)
