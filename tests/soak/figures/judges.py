"""Strict clients: each says whether a response ended cleanly by its own understanding of HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import aiohttp

from tests.soak.strict import Broken, request

JUDGE_SECONDS = 40.0
"""A response that is neither whole nor broken by then hangs."""


@dataclass
class Judged:
    """One response, as a client sees it.

    Attributes:
        begun: set with the first byte of the body.
        body: what came.
        status: of the head; 0 where the client does not tell.
        clean: whether it ended cleanly; None while it has not ended, or hangs.
    """

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytearray = field(default_factory=bytearray)
    status: int = 0
    clean: bool | None = None

    def take(self, data: bytes) -> None:
        """More of the body."""
        self.body += data
        self.begun.set()


async def raw(url: str, judged: Judged, *, http10: bool) -> None:
    """Our own client, which goes by the framing alone."""
    try:
        async with request(url, http10=http10) as response:
            judged.status = response.status
            async for data in response.body():
                judged.take(data)
    except (Broken, OSError):
        judged.clean = False
    else:
        judged.clean = True


async def curl(url: str, judged: Judged, *, http10: bool) -> None:
    """Curl, which says it by its exit code."""
    version = "--http1.0" if http10 else "--http1.1"
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sN", "--fail", version, url), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        while data := await process.stdout.read(1 << 16):
            judged.take(data)
        judged.clean = await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def aio(url: str, judged: Judged, *, http10: bool) -> None:
    """The client of aiohttp, which says it by an exception."""
    version = aiohttp.HttpVersion10 if http10 else aiohttp.HttpVersion11
    try:
        async with aiohttp.ClientSession(version=version) as session, session.get(url) as response:
            judged.status = response.status
            async for data in response.content.iter_any():
                judged.take(data)
    except (aiohttp.ClientError, OSError):
        judged.clean = False
    else:
        judged.clean = True


JUDGES = {"raw": raw, "curl": curl, "aiohttp": aio}


async def judge(name: str, url: str, judged: Judged, *, http10: bool) -> None:
    """Follow a response to its end; `Judged.clean` stays None if it hangs."""
    try:
        async with asyncio.timeout(JUDGE_SECONDS):
            await JUDGES[name](url, judged, http10=http10)
    except TimeoutError:
        judged.clean = None
    finally:
        judged.begun.set()
