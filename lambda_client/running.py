"""Which exchange the running invocation belongs to: there is one invocation at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambda_client.session import Session

_running: Session | None = None


@contextmanager
def running(session: Session) -> Iterator[None]:
    """Make a session the one of the invocation that runs now."""
    global _running  # noqa: PLW0603 - one invocation per process is Lambda's rule
    before, _running = _running, session
    try:
        yield
    finally:
        _running = before


def running_session() -> Session | None:
    """Return the session of the invocation that runs now, if a gateway called it."""
    return _running
