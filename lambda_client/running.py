"""Which exchange the running invocation belongs to: there is one invocation at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_client.session import Session

session: Session | None = None
"""That of the invocation that runs now. It is set by assignment: no signal's handler can raise in the midst of one."""


def running_session() -> Session | None:
    """Return the session of the invocation that runs now, if a gateway called it."""
    return session
