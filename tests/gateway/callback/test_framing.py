"""What a gateway's frame says, read by a WebSocket client of others' making."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from gateway.callback.framing import framed


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 66_000])
def test_a_client_reads_the_message(size: int) -> None:
    message = (bytes(range(256)) * 258)[:size]
    client = Protocol(Side.CLIENT, state=State.OPEN)
    for part in framed((message[:9], memoryview(message)[9:])):
        client.receive_data(bytes(part))
    assert client.parser_exc is None
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.BINARY, True, message)
