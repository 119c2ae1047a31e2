"""Messages made to cost much memory: what decoding them costs, and what they do to a real gateway."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen
from zlib import crc32

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from protocol.codec import decode, encode
from protocol.errors import CloseCode, RemoteProtocolError
from protocol.frames import (
    Attach,
    Attached,
    AttachedFlag,
    AttachFlag,
    Data,
    End,
    EndAck,
    Frame,
    Head,
)
from protocol.limits import ATTACH_PATH, MAX_MAX_FRAME, SUBPROTOCOL
from tests.fuzz.allocation import measured_peak
from tests.fuzz.nasty import BOMBS, FLOODS
from tests.fuzz.targets.frames import CONSTANT
from tests.patience import PATIENCE
from tests.system.running import Dialback, eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FUNCTION = "tests/fuzz/functions.py:lend_callback"
ROUNDS = 12
GROWTH = 4 * 2**20
"""Bytes that a gateway may grow by from the first rounds to the last: one arena of its allocator."""


@pytest.mark.fault(49, 50)
@pytest.mark.parametrize("message", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_costs_anything(message: bytes) -> None:
    with measured_peak() as peak, pytest.raises(RemoteProtocolError) as caught:
        decode(message)
    assert caught.value.close_code is CloseCode.PROTOCOL
    assert peak.bytes < CONSTANT


@pytest.mark.fault(50)
@pytest.mark.parametrize("message", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("times", [1, 12])
def test_many_small_elements_cost_no_more_than_their_message(message: bytes, times: int) -> None:
    message = (message * times)[:MAX_MAX_FRAME]
    with measured_peak() as peak, pytest.raises(RemoteProtocolError):
        decode(message, max_frame=MAX_MAX_FRAME)
    assert peak.bytes < len(message) + CONSTANT


@pytest.fixture(name="lent")
def fixture_lent(tmp_path: Path) -> Iterator[_Lent]:
    with running_dialback(FUNCTION, "--env", f"FOLDER={tmp_path}") as dialback:
        yield _Lent(dialback, tmp_path)


@pytest.mark.fault(50)
def test_bombs_close_4400_and_leave_a_real_gateway_as_it_was(lent: _Lent) -> None:
    with lent.exchange():
        sizes = [lent.throw_everything() for _ in range(ROUNDS)]
        assert max(sizes[ROUNDS // 2 :]) - sizes[ROUNDS // 2 - 1] < GROWTH, sizes
        lent.answer(b"still here")


@pytest.mark.fault(49)
@pytest.mark.parametrize("garbage", [b"\x94\x04\x01", b"\xff", BOMBS["map32 of 2^32-1"]])
def test_garbage_in_the_middle_of_a_stream_costs_a_reconnect_and_no_byte(
    lent: _Lent, garbage: bytes
) -> None:
    with lent.exchange():
        with lent.dial() as socket:
            lent.attach(socket, epoch=1)
            socket.send(encode(Head(1, 200, ())))
            socket.send(encode(Data(1, 0, b"first ")))
            eventually(lambda: lent.state() == "streaming")
            socket.send(garbage)
            assert close_code(socket) == CloseCode.PROTOCOL
        eventually(lambda: lent.state() == "detached")
        lent.answer(b"first then", epoch=2)


class _Lent:
    """A real gateway, and the right to dial back for the one exchange that is under way."""

    def __init__(self, dialback: Dialback, folder: Path) -> None:
        self._dialback = dialback
        self._folder = folder
        self._envelope: dict[str, Any] = {}

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """A request that waits for its response while the block runs; `answer` must give one."""
        with ThreadPoolExecutor(1) as pool:
            self._response = pool.submit(self._get)
            try:
                path = self._folder / "envelope"
                eventually(path.exists)
                self._envelope = json.loads(path.read_text())
                yield
            finally:
                (self._folder / "done").touch()

    def _get(self) -> bytes:
        with urlopen(self._dialback.url + "/", timeout=PATIENCE) as response:
            body: bytes = response.read()
            return body

    def dial(self) -> ClientConnection:
        return connect(
            self._envelope["urls"][0] + ATTACH_PATH,
            additional_headers={"Authorization": f"Bearer {self._envelope['token']}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            ping_interval=None,
            proxy=None,
        )

    def attach(self, socket: ClientConnection, *, epoch: int) -> Attached:
        flags = AttachFlag.FRESH if epoch == 1 else AttachFlag.HEAD_SENT
        xid, token = bytes.fromhex(self._envelope["xid"]), self._envelope["token"]
        socket.send(encode(Attach(1, xid, 1, epoch, token, bytes(16), 0, 1000, flags, 0, 0)))
        answer = hear(socket)
        assert isinstance(answer, Attached), answer
        return answer

    def answer(self, body: bytes, *, epoch: int = 1) -> None:
        """Send the rest of the response, and see the client get exactly `body`."""
        with self.dial() as socket:
            held = self.attach(socket, epoch=epoch)
            if not held.flags & AttachedFlag.HEAD_KNOWN:
                socket.send(encode(Head(1, 200, ())))
            socket.send(encode(Data(1, held.recv, body[held.recv :])))
            socket.send(encode(End(1, len(body), crc32(body))))
            while not isinstance(hear(socket), EndAck):
                continue
            assert self._response.result(timeout=PATIENCE) == body

    def state(self) -> str:
        [exchange] = self._dialback.exchanges()
        return str(exchange["state"])

    def throw_everything(self) -> int:
        """Send each bomb on a connection of its own; the gateway's memory in bytes after that."""
        for message in (*BOMBS.values(), *FLOODS.values()):
            with self.dial() as socket:
                socket.send(message)
                assert close_code(socket) == CloseCode.PROTOCOL
        rss: int = psutil.Process(self._dialback.pid).memory_info().rss
        return rss


def hear(socket: ClientConnection) -> Frame | None:
    message = socket.recv(timeout=PATIENCE)
    assert isinstance(message, bytes)
    return decode(message)


def close_code(socket: ClientConnection) -> int | None:
    """Read until the gateway closes; what it says."""
    try:
        while True:
            socket.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
