"""The HTTP client of the fault tests: reads in a thread, so that a test can look and break things meanwhile."""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READ = 64 * 1024
ABORT = struct.pack("ii", 1, 0)


class Browser:
    """One request, under way.

    Attributes:
        status: of the response; 0 before its head.
        headers: its headers by lower-case name.
        body: what came so far.
        ending: ``clean``, ``broken``, or empty while it lasts.
        began: monotonic seconds of the request; `ended` of its end.
    """

    def __init__(
        self,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        buffer: int = 0,
        reading: bool = True,
    ) -> None:
        """Send a request: GET, or POST with a body (chunked if it is iterable).

        Args:
            url: what is asked for.
            body: the request body.
            buffer: bytes of SO_RCVBUF; 0 for the default.
            reading: False to take one read of the body, and no more before `go_on_reading`.
        """
        parts = urlsplit(url)
        self._target = f"{parts.path}?{parts.query}"
        self._connection = http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=PATIENCE
        )
        self._connection.sock = self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(PATIENCE)
        self._socket.connect((str(parts.hostname), parts.port))
        self._body = body
        self._reading = threading.Event()
        if reading:
            self._reading.set()
        self._moved = threading.Condition()
        self._left = False
        self._response: http.client.HTTPResponse | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ending = ""
        self.began, self.ended = monotonic(), 0.0
        self._thread = threading.Thread(target=self._run, name="browser")
        self._thread.start()

    @property
    def digest(self) -> str:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def exchange(self) -> str:
        """The id that the response names."""
        return self.headers["x-dialback-exchange"]

    @property
    def seconds(self) -> float:
        """How long the whole of it took."""
        return self.ended - self.began

    def wait_head(self, seconds: float = PATIENCE) -> None:
        """Wait for the response head."""
        self._wait(lambda: bool(self.status or self.ending), seconds)
        assert self.status, f"no head: {self.ending}"

    def wait_bytes(self, count: int, seconds: float = PATIENCE) -> None:
        """Wait until so much of the body came."""
        self._wait(lambda: len(self.body) >= count or bool(self.ending), seconds)
        assert len(self.body) >= count, f"{self.ending} after {len(self.body)} of {count} bytes"

    def wait_end(self, seconds: float = PATIENCE) -> str:
        """Wait for the end; return `ending`."""
        self._wait(lambda: bool(self.ending), seconds)
        return self.ending

    def go_on_reading(self) -> None:
        """Take what comes, if it was made not to."""
        self._reading.set()

    def leave(self) -> None:
        """Reset the connection, as a killed browser does."""
        self.close(abort=True)

    def close(self, *, abort: bool = False) -> None:
        """Leave nothing behind."""
        self._left = True
        self._reading.set()
        with suppress(OSError):  # closed by the other side
            if abort:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self._socket.shutdown(socket.SHUT_RD)  # wakes the thread, and says nothing to the peer
        self._thread.join(PATIENCE)
        if self._response is not None:
            self._response.close()
        self._connection.close()
        self._socket.close()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        with self._moved:
            assert self._moved.wait_for(condition, seconds), (
                f"status {self.status}, {len(self.body)} bytes, {self.ending or 'not ended'} after {seconds} s"
            )

    def _run(self) -> None:
        try:
            self._ask()
        except (http.client.HTTPException, OSError, ValueError):
            self._say(ending="broken")
        else:
            self._say(ending="clean")

    def _ask(self) -> None:
        chunked = self._body is not None and not isinstance(self._body, bytes)
        headers = {"transfer-encoding": "chunked"} if chunked else {}
        self._connection.request(
            "GET" if self._body is None else "POST",
            self._target,
            self._body,
            headers,
            encode_chunked=chunked,
        )
        self._response = response = self._connection.getresponse()
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._say(status=response.status)
        while not self._left and (data := response.read1(READ)):
            self.body += data
            self._say()
            self._reading.wait()

    def _say(self, *, status: int = 0, ending: str = "") -> None:
        with self._moved:
            self.status = status or self.status
            if ending:
                self.ended = monotonic()
                self.ending = ending
            self._moved.notify_all()
