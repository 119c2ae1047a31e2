from __future__ import annotations

from gateway.serving import first


async def test_of_two_that_are_done_together_the_first_one_counts() -> None:
    async def unfinished() -> bool:
        return False

    async def told_twice() -> bool:
        return True

    results = {await first(unfinished(), told_twice(), 1.0) for _ in range(100)}
    assert results == {False}
