from __future__ import annotations

from tests.benchmarks.cores import Stolen


def test_what_the_host_took_is_a_share_of_the_time() -> None:
    stolen = Stolen()
    stolen._before -= 100.0
    stolen._begun -= 400.0
    assert 0 < stolen.share() < 0.5
