"""How soon a stream goes on after its callback was cut: the `cuts` of `make figures`, in small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import sections
from tests.benchmarks.load import percentile
from tests.benchmarks.results import Row
from tests.soak.figures import cuts

if TYPE_CHECKING:
    from tests.benchmarks.results import Results


async def measure(results: Results, *, streams: int, cuts_each: int, total: int) -> None:
    """Cut downloads of `total` bytes so often each.

    Raises:
        AssertionError: one of them did not come as it should.
    """
    found = await cuts.run(total=total, cuts=cuts_each, streams=streams)
    assert found.equal == streams, found
    for percent in (50, 95):
        for what, times in (("the next byte", found.resumed), ("ATTACHED", found.attached)):
            row = Row(sections.RESUME, f"from the cut to {what}, p{percent}", "ms")
            results.put(row, "dialback", percentile(times, percent) * 1000)
