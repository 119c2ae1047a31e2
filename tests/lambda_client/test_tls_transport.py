"""TLS as a function speaks it, against OpenSSL on a real socket: every way in which a peer ends, stalls, or asks."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lambda_client import loop
from lambda_client.dial import Dial, DialError
from lambda_client.transport import TcpTransport, Transport
from protocol.limits import Limits
from tests.certificates import authority, serving, trusting, write_authority, write_certificate
from tests.lambda_client.gateway import eventually
from tests.lambda_client.tls_line import AT_ONCE, MUCH, Counting, Line, User, connected
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lambda_client.reactor import Reactor


@pytest.fixture
def line(reactor: Reactor, caplog: pytest.LogCaptureFixture) -> Iterator[Line]:
    with connected(reactor) as made:
        yield made
    assert not caplog.get_records("call")


# ---------------------------------------------------------------- while it is open


def test_much_goes_both_ways_at_once_whole_and_in_order(line: Line) -> None:
    with line.secure() as far, ThreadPoolExecutor(1) as threads:
        user = line.user
        parts = [MUCH[at : at + at % 9000] for at in range(0, 200_000, 997)]
        # Many at once, some of them empty, and more than the kernel takes.

        def write() -> None:
            for at in (0, 90, 180):
                user.transport.writelines(parts[at : at + 90])

        line.do(write)
        eventually(lambda: "pause" in user.told)
        sending = threads.submit(far.sendall, MUCH)
        whole = b"".join(parts)
        read = b""
        while len(read) < len(whole):
            read += far.recv(10_000)
        sending.result(PATIENCE)
        eventually(lambda: len(user.read) == len(MUCH))
        eventually(lambda: "resume" in user.told)
        assert read == whole
        assert user.read == MUCH
        assert user.transport.waiting() == 0
        far.unwrap()
    assert [one for one in line.ended() if one != "data"] == [
        "made",
        "pause",
        "resume",
        "eof",
        "lost",
    ]
    assert line.user.why is None


@pytest.mark.parametrize("command", [b"k", b"K"], ids=["theirs", "both"])
def test_new_keys_in_the_middle_change_nothing(
    tmp_path: Path, reactor: Reactor, command: bytes
) -> None:
    """KeyUpdate (RFC 8446 4.6.3), of the peer's keys alone, or of both."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, key)
    options = ("-accept", "127.0.0.1:0", "-cert", chain, "-key", key, "-tls1_3")
    pipe, user = subprocess.PIPE, User()
    with subprocess.Popen(("openssl", "s_server", *options), stdin=pipe, stdout=pipe) as server:
        try:
            assert server.stdin is not None and server.stdout is not None
            said = next(line for line in server.stdout if line.startswith(b"ACCEPT"))
            near = socket.create_connection(("127.0.0.1", int(said.rpartition(b":")[2])))
            near.setblocking(False)
            tls = Counting(trusting(), "127.0.0.1", user)
            reactor.call_soon_threadsafe(TcpTransport(reactor, near, tls).start)
            eventually(lambda: user.told)
            for number in range(3):
                theirs, ours = b"theirs %d\n" % number, b"ours %d\n" % number
                server.stdin.write(theirs)
                server.stdin.flush()
                eventually(partial(user.has_read, theirs))
                before = tls.reads
                server.stdin.write(command + b"\n")  # by itself, else it is taken for text
                server.stdin.flush()
                eventually(partial(tls.has_read, before + 1))
                reactor.call_soon_threadsafe(partial(user.transport.writelines, (ours,)))
                assert any(line == ours for line in server.stdout)
        finally:
            server.kill()
    eventually(lambda: "lost" in user.told)


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize("politely", [True, False])
def test_what_a_peer_said_before_it_left_is_read(line: Line, *, politely: bool) -> None:
    """With close_notify or without: whether all of it was said, WebSocket knows."""
    with line.secure() as far:
        far.sendall(b"goodbye")
        if politely:
            far.unwrap()
        else:
            far.close()
        assert line.ended() == ["made", "data", "eof", "lost"]
    assert line.user.read == b"goodbye"
    assert line.user.why is None


def test_a_close_says_so_once_everything_is_sent(line: Line) -> None:
    with line.secure() as far:
        # Whoever closes with bytes unread, a session ticket say, resets what the kernel has not sent (RFC 1122 4.2.2.13).
        far.sendall(b"tickets were before this")
        eventually(lambda: line.user.read)

        def leave() -> None:
            line.user.transport.writelines((MUCH,))
            line.user.transport.close()
            line.user.transport.writelines((b"thrown away",))

        line.do(leave)
        read = b"".join(iter(lambda: far.recv(10_000), b""))  # without close_notify it raises
        assert read == MUCH
        assert [one for one in line.ended() if one != "resume"] == ["made", "data", "pause", "lost"]


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "TCP"])
def test_what_comes_after_a_close_is_not_handed_on(line: Line, *, tls: bool) -> None:
    with line.open(tls=tls) as far:
        closed = threading.Event()
        line.do(lambda: line.user.transport.writelines((MUCH,)))
        line.do(line.user.transport.close)
        line.do(closed.set)
        assert closed.wait(PATIENCE)
        far.sendall(b"too late")
        far.close()
        assert line.ended() == ["made", "pause", "lost"]


def test_after_an_abort_nothing_of_the_same_read_is_handed_on(line: Line) -> None:
    with line.secure() as far:
        line.user.on = {"data": lambda transport: transport.abort()}
        held, sent = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            sent.wait(PATIENCE)

        line.do(hold)
        assert held.wait(PATIENCE)
        for record in (b"first", b"second"):
            far.sendall(record)
        sent.set()
        assert line.ended() == ["made", "data", "lost"]
    assert line.user.read == b"first"


def test_a_reset_while_bytes_wait_ends_it(line: Line) -> None:
    with line.secure() as far:
        line.do(lambda: line.user.transport.writelines((MUCH,)))
        eventually(lambda: "pause" in line.user.told)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        far.close()
        assert line.ended()[-1] == "lost"


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "TCP"])
def test_an_abort_does_not_wait_for_what_a_close_waits_for(line: Line, *, tls: bool) -> None:
    with line.open(tls=tls):
        line.do(lambda: line.user.transport.writelines((MUCH,)))
        line.do(line.user.transport.close)
        line.do(line.user.transport.abort)
        assert line.ended() == ["made", "pause", "lost"]


def test_a_peer_that_takes_nothing_for_too_long_ends_it(line: Line) -> None:
    """As the kernel sees it: here by its own clock for bytes that wait."""
    with line.open(tls=False):
        line.near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        line.do(lambda: line.user.transport.writelines((MUCH,)))
        assert line.ended() == ["made", "pause", "lost"]
    assert isinstance(line.user.why, TimeoutError)


def test_a_record_that_was_changed_on_the_way_ends_it(line: Line) -> None:
    with line.secure() as far:
        far.sendall(b"good")
        eventually(lambda: line.user.read == b"good")
        raw = socket.socket(fileno=far.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            assert line.ended() == ["made", "data", "lost"]
    assert isinstance(line.user.why, ssl.SSLError)


# ---------------------------------------------------------------- before hands are shaken


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x00\x7a\x02"])
def test_a_peer_that_dies_in_the_middle_of_the_handshake(
    line: Line, said: bytes, *, reset: bool
) -> None:
    line.begin()
    assert line.far.recv(10_000)
    line.far.sendall(said)
    if reset:
        line.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    line.far.close()
    assert line.ended() == ["lost"]
    assert isinstance(line.user.why, ConnectionError)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"],
    ids=["plain HTTP", "an alert"],
)
def test_a_peer_that_answers_something_else(line: Line, answer: bytes) -> None:
    line.begin()
    assert line.far.recv(10_000)
    line.far.sendall(answer)
    assert line.ended() == ["lost"]
    assert isinstance(line.user.why, ssl.SSLError)


def test_a_peer_whose_certificate_is_no_good_is_told_why(line: Line) -> None:
    wrong = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("other.example").configure_cert(wrong)
    line.begin()
    with (
        pytest.raises(ssl.SSLError, match=r"BAD_CERTIFICATE|CERTIFICATE_UNKNOWN"),
        wrong.wrap_socket(line.far, server_side=True) as far,
    ):
        far.recv(1)
    assert line.ended() == ["lost"]
    assert isinstance(line.user.why, ssl.SSLCertVerificationError)


def test_a_handshake_that_never_ends_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBACK_CA_FILE", str(write_authority(tmp_path / "ca.pem")))
    io, told = loop.io_thread(), list[object]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def dial() -> None:
            Dial(io, f"wss://127.0.0.1:{port}", "token", Limits(), 0.1).tell = told.append

        io.submit(dial)
        far, _ = listener.accept()
        with far:
            far.settimeout(PATIENCE)
            hello = b"".join(iter(lambda: far.recv(10_000), b""))
    assert hello.startswith(b"\x16\x03"), "a handshake began, and its end came"
    eventually(lambda: told)
    (error,) = told
    assert isinstance(error, DialError)
    assert "in time" in str(error)


# ---------------------------------------------------------------- from within what it calls


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "TCP"])
@pytest.mark.parametrize("deed", ["close", "abort"])
@pytest.mark.parametrize("when", ["made", "data", "pause", "resume", "eof", "lost"])
def test_it_may_be_ended_from_within_whatever_it_tells(
    line: Line, when: str, deed: str, *, tls: bool
) -> None:
    user = line.user

    def end(transport: Transport) -> None:
        getattr(transport, deed)()
        transport.writelines((b"thrown away",))

    user.on = {when: end}
    line.begin(tls=tls)
    peer = threading.Thread(target=_play, args=(line.far, when, tls))
    peer.start()
    eventually(lambda: user.told)
    if when in ("pause", "resume"):
        line.do(lambda: user.transport.writelines((MUCH,)))
    told = [one for one in line.ended() if one in (when, "eof", "lost")]
    peer.join(PATIENCE)
    assert told[-2:] == [when, "lost"] if when != "lost" else told[-2:] == ["eof", "lost"]
    assert user.why is None


def _play(raw: socket.socket, when: str, tls: bool) -> None:
    """Be the peer that brings it about, and is left at any moment, in the midst of its handshake say."""
    with suppress(OSError), serving().wrap_socket(raw, server_side=True) if tls else raw as far:
        if when in ("data", "eof", "lost"):
            far.sendall(b"something")
        if when in ("eof", "lost"):
            far.shutdown(socket.SHUT_WR)
        while far.recv(10_000):
            pass


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "TCP"])
def test_what_is_written_from_within_a_resume_follows_what_waited(line: Line, *, tls: bool) -> None:
    user, more = line.user, [b"the second", b"the third"]

    def write(transport: Transport) -> None:
        if more:
            transport.writelines((more.pop(0), MUCH))
        else:
            transport.close()

    user.on = {"resume": write}
    with line.open(tls=tls) as far:
        line.do(lambda: user.transport.writelines((MUCH,)))
        read = b"".join(iter(lambda: far.recv(100_000), b""))
    assert read == MUCH + b"the second" + MUCH + b"the third" + MUCH
