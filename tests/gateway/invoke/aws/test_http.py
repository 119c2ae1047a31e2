"""The HTTP client of the invoke leg, against servers that say what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from contextlib import closing

import pytest
from aiohttp.http import HttpResponseParser

from gateway.errors import FunctionFailed
from gateway.invoke.aws import http
from gateway.invoke.aws.address import target_of
from gateway.invoke.aws.answer import ANSWER_MAX
from gateway.invoke.aws.connection import _Reading
from gateway.invoke.aws.http import HttpClient
from gateway.invoke.base import InvokeOutcomeUnknown
from tests.gateway.invoke.aws.talks import OK, ask, request, says, serving
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE
from tests.settling import settle


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK,), b"{}"),
        (tuple(OK[at : at + 1] for at in range(len(OK))), b"{}"),
        (
            (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK),
            b"{}",
        ),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n", b"abc\r\n0\r\n\r\n"),
            b"abc",
        ),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), b""),
    ],
)
async def test_answers_are_read_and_their_connections_kept(
    pieces: tuple[bytes, ...], body: bytes
) -> None:
    async with serving(says(*pieces)) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            for _ in range(2):
                assert (await ask(origin)).payload == body
                assert len(origin.idle) == 1


TOO_LARGE = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(ANSWER_MAX + 1)


@pytest.mark.parametrize("answer", [OK, TOO_LARGE], ids=["taken", "too large"])
async def test_an_answer_that_was_read_is_gone_without_a_collector(answer: bytes) -> None:
    async with serving(says(answer)) as url:
        with closing(HttpClient()) as client:
            gc.collect()
            gc.disable()
            try:
                with contextlib.suppress(FunctionFailed):
                    await ask(client.origin(url))
                await settle()
                kinds = HttpResponseParser, _Reading
                assert not [one for one in gc.get_objects() if isinstance(one, kinds)]
            finally:
                gc.enable()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nto the end",
    ],
)
async def test_a_connection_that_ends_with_its_answer_is_not_kept(answer: bytes) -> None:
    async with serving(says(answer, close=True)) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            assert (await ask(origin)).payload == b"to the end"
            assert origin.idle == []
            assert (await ask(origin)).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        OK + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    ],
)
async def test_what_is_no_whole_answer_proves_nothing(answer: bytes) -> None:
    async with serving(says(answer, close=True)) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            with pytest.raises(InvokeOutcomeUnknown, match="the invoke leg broke"):
                await ask(origin)
            assert origin.idle == []


async def test_the_answer_to_a_head_request_has_no_body_and_says_how_long_it_would_be() -> None:
    async with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            for _ in range(2):
                answer = await ask(origin, "HEAD", b"")
                assert (answer.payload, answer.headers["content-length"]) == (b"", "10")


async def test_an_endless_answer_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    async with serving(says(head, *[piece] * (ANSWER_MAX // (1 << 20) + 1))) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            with pytest.raises(FunctionFailed, match="more than"):
                await ask(origin)
            assert origin.idle == []


@pytest.mark.steered
async def test_silence_counts_from_the_last_byte() -> None:
    silence, silent = PATIENCE / 8, asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for at in range(8):  # all together last twice as long
            writer.write(OK[at : at + 1])
            await pass_time(silence / 4)
        silent.set()
        await reader.read()

    async with serving(drip) as url:
        with closing(HttpClient()) as client:
            asking = asyncio.create_task(ask(client.origin(url), silence=silence))
            await silent.wait()
            assert not asking.done()
            await pass_time(silence)
            with pytest.raises(InvokeOutcomeUnknown, match="nothing came in time"):
                await asking


async def test_who_answers_before_it_has_read_everything_is_not_asked_again() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(PATIENCE)

    async with serving(hasty) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            assert (await ask(origin, body=bytes(16 << 20))).status == 200
            assert origin.idle == []


async def test_a_kept_connection_that_says_something_or_ends_is_not_used() -> None:
    kept, ports = asyncio.Event(), []

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername"))
        await request(reader)
        writer.write(OK)
        await kept.wait()
        if len(ports) == 1:
            writer.write(b"by the way")
            await reader.read()

    async with serving(one_answer) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            await ask(origin)
            (first,) = origin.idle
            kept.set()
            async with asyncio.timeout(PATIENCE):
                while first.usable:
                    await asyncio.sleep(0.01)
            await ask(origin)
    assert len(ports) == 2


@pytest.mark.parametrize("more", [b"H", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX: "])
async def test_a_connection_that_says_more_than_its_answer_is_not_kept(more: bytes) -> None:
    async with serving(says(OK + more)) as url:
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            assert (await ask(origin)).payload == b"{}"
            assert origin.idle == []


async def test_idle_connections_are_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.05)
    gone = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK)
        assert await reader.read() == b""
        gone.set()

    async with serving(watch) as url, asyncio.timeout(PATIENCE):
        with closing(HttpClient()) as client:
            origin = client.origin(url)
            await ask(origin)
            await gone.wait()
            assert origin.idle == []


async def test_who_gives_up_waiting_ends_the_connection() -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        begun.set()
        assert await reader.read() == b""
        gone.set()

    async with serving(never) as url, asyncio.timeout(PATIENCE):
        with closing(HttpClient()) as client:
            waiting = asyncio.create_task(ask(client.origin(url)))
            await begun.wait()
            waiting.cancel()
            await gone.wait()
            assert client.origin(url).idle == []


async def test_a_header_cannot_begin_another() -> None:
    with closing(HttpClient()) as client:
        for value in ("a\r\nb: c", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="more than one line"):
                await client.origin("http://localhost:1").send(
                    "POST", "/", [("x", value)], b"", silence=1.0
                )


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://host", "/"),
        ("https://host/", "/"),
        ("https://host?a=b", "/?a=b"),
        ("https://host:8/a%2Fb/../c?x='y'", "/a%2Fb/../c?x='y'"),
        ("https://host/a#b", "/a"),
    ],
)
def test_a_target_stands_in_its_url_as_it_goes_out(url: str, target: str) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Name.example/", "name.example"),
        ("https://name.example:443", "name.example"),
        ("http://name.example:443", "name.example:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_host_is_named_as_it_is_signed(url: str, host: str) -> None:
    with closing(HttpClient()) as client:
        assert client.origin(url)._host == host
