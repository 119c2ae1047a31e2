from __future__ import annotations

from protocol.errors import (
    CloseCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ResetCode,
    StreamFailed,
)


def test_each_error_knows_its_close_code() -> None:
    assert LocalProtocolError("bug").close_code is CloseCode.INTERNAL
    assert RemoteProtocolError("rule").close_code is CloseCode.PROTOCOL
    assert RemoteProtocolError("x", close_code=CloseCode.TOO_FAST).close_code is CloseCode.TOO_FAST


def test_a_failed_stream_is_the_peers_fault_and_says_why() -> None:
    error = StreamFailed("crc", ResetCode.DIVERGED)
    assert isinstance(error, RemoteProtocolError)
    assert isinstance(error, ProtocolError)
    assert error.reset_code is ResetCode.DIVERGED
    assert str(error) == "crc"
