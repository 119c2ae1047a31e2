"""What to do when a benchmark stops."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = """
The benchmark stopped here, and its figures are lost. What comes late, or by another way than it should, does so
mostly because the machine is busy: look at `uptime`, end what else runs, and try that part again:

    {command}

If it stops on a quiet machine, too, it is a bug: `make test` says whether all is well beside it.
"""


@contextmanager
def advice(command: str) -> Iterator[None]:
    """Let whatever goes wrong say what to do next; `command` runs the same part again."""
    try:
        yield
    except Exception as error:
        error.add_note(ADVICE.format(command=command))
        raise
