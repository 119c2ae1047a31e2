"""A worker, as the supervisor talks to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.serving import Stop
from gateway.workers import channel, worker


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_stop_that_is_said_twice_is_said_once(*, at_once: bool) -> None:
    """As when the order comes while the process is being started: both who notice say it."""
    reader = asyncio.StreamReader()
    reader.feed_data(2 * channel.pack(channel.Stop(at_once)))
    reader.feed_eof()
    stop = Stop()
    nobody: Any = None
    await worker._listen(reader, nobody, nobody, stop)  # nothing is asked, so nothing is answered
    assert (stop.begun.is_set(), stop.at_once.is_set()) == (True, at_once)
