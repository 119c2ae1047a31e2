"""What is asked of every transport that is written to: several pieces in one write, and an end of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

WRITELINES_NEVER_PAUSES = (3, 12) <= sys.version_info < (3, 12, 9) or (
    (3, 13) <= sys.version_info < (3, 13, 2)
)
"""asyncio's `writelines` told nobody that its buffer was full (CVE-2024-12254): one slow reader of a large
body would have filled the memory."""


def write_parts(transport: asyncio.WriteTransport, parts: Iterable[bytes | memoryview]) -> None:
    """Write all parts; none of them is copied where the event loop can do without."""
    if WRITELINES_NEVER_PAUSES:
        transport.write(b"".join(parts))
    else:
        transport.writelines(parts)


def half_close(transport: asyncio.Transport | None) -> bool:
    """Send a FIN behind what was written, and go on reading; False if there is nobody to send it to."""
    if transport is None or transport.is_closing() or not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:  # the peer reset it, and the loop has yet to hear of it
        return False
    return True
