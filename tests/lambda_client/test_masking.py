"""What a client's frame says, read by a WebSocket server of others' making."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from lambda_client.masking import POOL, masked, masks


@pytest.mark.parametrize("first", [0, 1, 2, 3, 14])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 66_000])
def test_a_server_reads_the_message(size: int, first: int) -> None:
    message = bytes(range(256)) * 258
    message = message[:size]
    parts = (message[:first], memoryview(message)[first:], b"")
    server = Protocol(Side.SERVER, state=State.OPEN)
    for part in masked(parts, b"\x01\xfe\x80\x7f"):
        server.receive_data(part)
    assert server.parser_exc is None
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.BINARY, True, message)


def test_no_mask_comes_twice() -> None:
    drawn = [*masks(), *masks(), *masks(), *masks()]
    assert len(drawn) == POOL
    assert {len(mask) for mask in drawn} == {4}
    # By chance two of 256 are the same once in 130,000 times; a pool used again, always.
    assert len(set(drawn)) >= len(drawn) - 1
