"""Looks for the gateway, step by step, from where the function runs: nobody else can.

Asked for by ``dialback doctor``; user code does not run. Everything here is slow on purpose: each step
by itself, so that the one that fails is the one that is named.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from websockets.uri import parse_uri

from lambda_client.connection import Connection
from lambda_client.dial import Dial, DialError
from lambda_client.loop import io_thread
from lambda_client.trust import client_context
from protocol.errors import RejectCode
from protocol.frames import Attach, Reject
from protocol.limits import ATTACH_PATH, Limits
from protocol.probe import Step, UrlReport, report_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.uri import WebSocketURI

    from protocol.envelope import Envelope
    from protocol.frames import StreamFrame

STEP_SECONDS = 5.0
"""For each step; a real dial has as long for all of them (protocol SPEC, timers)."""


def answer_probe(envelope: Envelope) -> dict[str, object]:
    """Probe every callback URL; return what the function returns."""
    return report_to_json(envelope, [_Probe(envelope, url).run() for url in envelope.urls])


class _Failed(Exception):
    """A step failed; the text says why."""


class _Answer:
    """What a job of the I/O finds out, for the thread that waits for it."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._found: object = None

    def give(self, found: object) -> None:
        """Tell it; only the first counts."""
        if not self._came.is_set():
            self._found = found
            self._came.set()

    def wait(self) -> object:
        """Return it.

        Raises:
            TimeoutError: it did not come in `STEP_SECONDS`.
        """
        if not self._came.wait(STEP_SECONDS):
            raise TimeoutError("no answer in time")
        return self._found


class _Probe:
    """The way to one URL. Also the owner of the connection, as `lambda_client.connection.Owner`."""

    def __init__(self, envelope: Envelope, url: str) -> None:
        self._envelope = envelope
        self._url = url
        self._uri: WebSocketURI  # once it was read
        self._io = io_thread()
        self._steps: list[Step] = []
        self._connection: Connection | None = None
        self._sid = 0
        self._answer = _Answer()

    def run(self) -> UrlReport:
        """Go as far as possible."""
        try:
            self._step("dns", self._resolve)
            self._step("tcp", self._connect)
            if self._uri.secure:
                self._step("tls", self._shake_hands)
            self._step("upgrade", self._upgrade)
            self._step("attach", self._attach)
            if self._envelope.probe_ms:
                self._step("idle", partial(self._idle, self._envelope.probe_ms / 1000))
        except _Failed:
            pass
        finally:
            if self._connection is not None:
                self._io.submit(self._connection.abort)
        return UrlReport(self._url, tuple(self._steps))

    def _step(self, name: str, work: Callable[[], str]) -> None:
        begun = time.monotonic()
        try:
            detail = work()
        except Exception as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            self._note(name, begun, why or type(error).__name__, ok=False)
            raise _Failed from error
        self._note(name, begun, detail, ok=True)

    def _note(self, name: str, begun: float, detail: str, *, ok: bool) -> None:
        self._steps.append(Step(name, ok, round((time.monotonic() - begun) * 1000), detail))

    # ------------------------------------------------------------ the steps

    def _resolve(self) -> str:
        self._uri = parse_uri(self._url.rstrip("/") + ATTACH_PATH)
        answer, host, port = _Answer(), self._uri.host, self._uri.port

        def look_up() -> None:
            try:
                answer.give(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # the second: no name at all
                answer.give(error)

        threading.Thread(target=look_up, name="dialback-dns", daemon=True).start()
        found = answer.wait()
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, list)  # noqa: S101 - what getaddrinfo returns
        addresses = sorted({str(entry[4][0]) for entry in found})
        return f"{self._uri.host} is {', '.join(addresses)}"

    def _connect(self) -> str:
        with self._open() as connected:
            address, port = connected.getpeername()[:2]
        return f"connected to {address} port {port}"

    def _shake_hands(self) -> str:
        context = client_context()
        with context.wrap_socket(self._open(), server_hostname=self._uri.host) as secure:
            return f"{secure.version()}, the certificate is good"

    def _open(self) -> socket.socket:
        return socket.create_connection((self._uri.host, self._uri.port), STEP_SECONDS)

    def _upgrade(self) -> str:
        answer = _Answer()

        def dial() -> None:
            limits = Limits(max_frame=self._envelope.max_frame)
            made = Dial(self._io, self._url, self._envelope.token, limits, STEP_SECONDS)
            made.tell = take

        def take(outcome: Connection | DialError) -> None:
            if isinstance(outcome, Connection):
                outcome.owner = self
            answer.give(outcome)

        self._io.submit(dial)
        outcome = answer.wait()
        if not isinstance(outcome, Connection):
            raise ConnectionError(getattr(outcome, "why", outcome))
        self._connection = outcome
        return "the gateway took the token"

    def _attach(self) -> str:
        connection, io = self._connection, self._io
        if connection is None or connection.closed:
            raise ConnectionError("the connection was closed")
        self._answer = _Answer()
        self._sid += 1

        def ask() -> None:
            connection.state.open_stream(self._sid, io.loop.time())
            connection.send([self._attach_frame()])

        io.submit(ask)
        answer = self._answer.wait()
        if not isinstance(answer, Reject):
            raise ConnectionError(answer)
        if answer.code != RejectCode.UNKNOWN:
            raise ConnectionError(f"the gateway answered {answer}")
        return "the gateway answers"

    def _idle(self, seconds: float) -> str:
        time.sleep(seconds)
        self._attach()
        return f"still open after {seconds:g} s of silence"

    def _attach_frame(self) -> Attach:
        envelope = self._envelope
        return Attach(
            self._sid,
            envelope.xid_bytes,
            envelope.inv,
            self._sid,
            envelope.token,
            os.urandom(16),
            lo=0,
            hi=0,
            flags=0,
            req_recv=0,
            req_max=0,
        )

    # ------------------------------------------------------------ what the connection reports

    def received(self, frame: StreamFrame) -> None:
        """The answer to ATTACH."""
        if isinstance(frame, Reject):
            self._answer.give(frame)

    def flush(self) -> None:
        """Nothing waits."""

    def lost(self, reason: str, code: int | None) -> None:
        """The connection is gone."""
        self._answer.give(f"closed by the other side ({code}): {reason}")
