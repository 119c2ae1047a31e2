"""What goes over the WebSocket: arrays of msgpack, of which the first item says what it is."""

from __future__ import annotations

HEAD = 1
"""From the function: token, status, headers. The token says which exchange all that follows is for."""

DATA = 2
"""From the function: bytes of the body."""

END = 3
"""From the function: nothing follows. From the gateway: it has everything."""
