"""Where TLS ends: what the protocol above it writes to, over a TCP transport.

asyncio and uvloop each have their own; neither tells how much the TCP transport beneath still holds, or
lets its user end by a half-close. The edge stands on both: what a client has taken is what the function
may forget, and a response that breaks off must never look ended. So here every byte waits in the one
place that tells, the TCP transport, and how a connection ends is said by whoever ends it:

* `close` says close_notify, then FIN: a clean end (RFC 8446 section 6.1). The peer's own is not waited for.
  Of a connection that is `truncated` it says nothing: close_notify is what tells an end from a cut.
* `write_eof` says the same and leaves the socket open for what the peer is still sending; nobody reads it.
* `abort` says neither: whatever the peer holds is cut off, and it can tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from gateway.writing import write_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.tls.layer import TlsLayer

RECORD = 16 * 1024
"""Bytes that a record holds at most (RFC 8446 section 5.1). No more is handed to OpenSSL at once: its memory
buffers never shrink, and a connection that once sent 64 KiB at once kept 59 more for good."""


class TlsTransport(asyncio.Transport):
    """What the protocol above writes to. Every byte goes down in the call that brings it.

    Attributes:
        deaf: what the peer still sends is thrown away.
        truncated: the peer did not get all: no end of this connection says close_notify.
    """

    def __init__(self, raw: asyncio.Transport, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        super().__init__()
        self._raw = raw
        self._tls = tls
        self._outgoing = outgoing
        self._closing = False
        self.deaf = False
        self.truncated = False

    def flush(self) -> None:
        """Hand what was encrypted to the TCP transport."""
        data = self._outgoing.read()
        if data:
            self._raw.write(data)

    # ------------------------------------------------------------ writing

    @override
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.is_closing() or self.deaf:
            return
        view, parts = memoryview(data), list[bytes]()
        while view:
            view = view[self._tls.write(view[:RECORD]) :]
            parts.append(self._outgoing.read())
        write_parts(self._raw, parts)

    @override
    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))  # else each part would be a record

    @override
    def can_write_eof(self) -> bool:
        return True

    @override
    def write_eof(self) -> None:
        if not self.is_closing() and not self.deaf:
            self._say_goodbye()
            self.deaf = True
            self._raw.write_eof()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    @override
    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._raw.get_write_buffer_limits()

    @override
    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    # ------------------------------------------------------------ reading

    @override
    def is_reading(self) -> bool:
        return self._raw.is_reading()

    @override
    def pause_reading(self) -> None:
        self._raw.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._raw.resume_reading()

    # ------------------------------------------------------------ the rest

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        cast("TlsLayer", self._raw.get_protocol()).serve(cast("asyncio.Protocol", protocol))

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the TCP transport knows, and ``ssl_object`` and ``sslcontext`` beside."""
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        return self._raw.get_extra_info(name, default)

    @override
    def is_closing(self) -> bool:
        return self._closing or self._raw.is_closing()

    @override
    def close(self) -> None:
        if not self.is_closing():
            self._closing = True
            self._say_goodbye()
            self._raw.close()

    @override
    def abort(self) -> None:
        self._closing = True
        self._raw.abort()

    def _say_goodbye(self) -> None:
        if self.deaf or self.truncated:
            return
        with contextlib.suppress(ssl.SSLError):  # it wants to read the peer's
            self._tls.unwrap()
        self.flush()
