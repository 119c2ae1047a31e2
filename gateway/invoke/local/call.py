"""One invocation on its way through the emulated function."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from gateway.invoke.base import InvokeResult
from gateway.invoke.local.limits import LOG_TAIL

if TYPE_CHECKING:
    import asyncio

    from gateway.invoke.base import Invocation


class Call:
    """An invocation, the future of its outcome, and what was logged meanwhile.

    Attributes:
        invocation: what to run.
        request_id: the Lambda request id.
        future: resolved once, by `succeed`, `fail` or `refuse`. Its waiter may have left before.
        tail: the end of the log, when someone asked for it; else None.
        queued: `time.monotonic()` when it was made.
        started: `time.monotonic()` when a worker was given it; 0.0 before.
    """

    __slots__ = ("future", "invocation", "queued", "request_id", "started", "tail")

    def __init__(
        self, invocation: Invocation, future: asyncio.Future[InvokeResult], *, want_log: bool
    ) -> None:
        self.invocation = invocation
        self.future = future
        self.request_id = _uuid4(os.urandom(16).hex())
        self.tail: bytearray | None = bytearray() if want_log else None
        self.queued = time.monotonic()
        self.started = 0.0

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the outcome any more."""
        return self.future.done()

    def log(self, *lines: str) -> None:
        """Note lines for the tail."""
        if self.tail is not None:
            for line in lines:
                self.tail += line.encode("utf-8", "replace") + b"\n"
            del self.tail[:-LOG_TAIL]

    def succeed(self, payload: bytes) -> None:
        """The handler returned this."""
        if not self.future.done():
            self.future.set_result(InvokeResult(payload, None, self.request_id))

    def fail(self, payload: bytes) -> None:
        """The function failed; `payload` is AWS's error object."""
        if not self.future.done():
            self.future.set_result(InvokeResult(payload, "Unhandled", self.request_id))

    def refuse(self, error: Exception) -> None:
        """No result is to be expected."""
        if not self.future.done():
            self.future.set_exception(error)

    def head(self, constant: bytes, timeout: float) -> bytes:
        """Return the HTTP head that hands this invocation to the runtime.

        Args:
            constant: status line and the headers that never change, each with its line end.
            timeout: seconds until the function is killed.
        """
        invocation = self.invocation
        context, trace_id = invocation.client_context, invocation.trace_id or _new_root()
        if (
            "Parent=" not in trace_id
        ):  # Lambda names the segment; here it is named after the request
            trace_id += f";Parent={self.request_id.replace('-', '')[:16]};Sampled=0"
        return (
            b"%bLambda-Runtime-Aws-Request-Id: %b\r\nLambda-Runtime-Deadline-Ms: %d\r\nLambda-Runtime-Trace-Id: %b\r\n%bContent-Length: %d\r\n\r\n"
            % (
                constant,
                self.request_id.encode(),
                int((time.time() + timeout) * 1000),
                trace_id.encode(),
                b"Lambda-Runtime-Client-Context: %b\r\n" % context if context else b"",
                len(invocation.event),
            )
        )


def _new_root() -> str:
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def _uuid4(digits: str) -> str:
    """Write 32 random hex digits as RFC 9562 section 5.4 has them; `uuid` takes ten times as long."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
