"""One of several gateway processes: serves as it was assigned, until the supervisor says stop, or is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gateway import log
from gateway.app import App
from gateway.credentials import read_credentials
from gateway.errors import ConfigError
from gateway.heap import keep_freed_pages
from gateway.serving import Stop, run_loop, serve
from gateway.sockets import (
    CALLBACK_USER_TIMEOUT,
    reachable,
    share,
    watch_peers,
)
from gateway.workers import channel
from gateway.workers.assignment import receive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from gateway.workers.assignment import Assignment
    from gateway.workers.gathered import FamilyTold

USAGE_ERROR = 2


def main() -> int:
    """Serve; return the exit code."""
    speaking = _take_stdin()
    try:
        assignment = receive(speaking)
    except EOFError:
        return 1
    log.set_up(assignment.settings.log_level, assignment.settings.log_format, sys.stderr)
    _sign_log(assignment.worker)
    keep_freed_pages()
    return run_loop(_work(assignment, speaking))


def _take_stdin() -> socket.socket:
    """Take the channel away from descriptor 0, where functions would inherit it."""
    speaking = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return speaking


def _sign_log(worker: int) -> None:
    def sign(record: logging.LogRecord) -> bool:
        record.worker = worker
        return True

    for handler in logging.getLogger(log.ROOT).handlers:
        handler.addFilter(sign)


async def _work(assignment: Assignment, speaking: socket.socket) -> int:
    # A terminal's Ctrl-C, or a manager that signals the whole group, reaches workers too: they wait for
    # the supervisor's word. (Not SIG_IGN: functions that are started here would inherit it.)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    reader, writer = await asyncio.open_unix_connection(sock=speaking)
    try:
        return await _serve(assignment, reader, writer)
    except ConfigError as error:
        writer.write(channel.pack(channel.Refused(str(error))))
        return USAGE_ERROR
    finally:
        writer.close()


async def _serve(
    assignment: Assignment, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    settings = assignment.settings
    app = App(
        assignment.routes,
        callback_url=settings.dialled_at(reachable(assignment.callback), assignment.worker),
        credentials=read_credentials(settings, assignment.key),
        settings=settings,
    )
    stop = Stop()

    def listening() -> None:
        writer.write(channel.pack(channel.Listening()))

    listens = asyncio.create_task(_listen(reader, writer, app, stop))
    try:
        with ExitStack() as stack:
            edge = stack.enter_context(share("edge", assignment.edge, "gateway.edge"))
            callback = stack.enter_context(
                share("callback", assignment.callback, "gateway.callback")
            )
            watch_peers(edge, settings.timing.write_stall)
            watch_peers(callback, CALLBACK_USER_TIMEOUT)
            sockets = {"callback": callback, "edge": edge}
            return await serve(app, sockets, stop, settings.drain_deadline, listening)
    finally:
        listens.cancel()


async def _listen(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app: App, stop: Stop
) -> None:
    """Do what the supervisor says, and stop when it is gone."""
    try:
        async for message in channel.messages(reader):
            match message:
                case channel.Stop(at_once=at_once):
                    stop.begun.set()
                    if at_once:
                        stop.at_once.set()
                case channel.Question(number=number, what=what):
                    answer = channel.Answer(number, await _look(app, what))
                    writer.write(channel.pack(answer))
                    await writer.drain()
                case _:
                    raise ValueError(f"a worker is not told {message!r}")
    finally:
        stop.begun.set()


async def _look(app: App, what: channel.What) -> object:
    match what:
        case "ready":
            return await app.ready()
        case "metrics":
            return told(app.families())
        case "exchanges":
            return await app.exchanges()


def told(families: Iterable[Metric]) -> list[FamilyTold]:
    """Return numbers as the supervisor wants them: name, help, kind, samples."""
    return [
        (one.name, one.documentation, one.type, [(s.name, s.labels, s.value) for s in one.samples])
        for one in families
    ]
