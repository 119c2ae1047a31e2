"""`os.fork` in a handler: two processes with one socket, of which one has the I/O."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import StreamClosed, loop, streamify_response
from tests.lambda_client.gateway import eventually
from tests.lambda_client.handlers import call, warm
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lambda_client.gateway import Gateway

REFUSED, CAME_OUT = 7, 8
"""How a child ends: it could not write; its exception came out of the handler."""

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class ChildError(Exception):
    """What user code raises in the child."""


def write_on(stream: Any) -> None:
    try:
        stream.write(b"from the child")
    except StreamClosed:
        os._exit(REFUSED)
    os._exit(1)


def fail(stream: Any) -> None:
    raise ChildError


@pytest.mark.parametrize(("child", "ends"), [(write_on, REFUSED), (fail, CAME_OUT)])
@pytest.mark.parametrize("busy", [False, True])
def test_a_fork_in_a_handler_disturbs_no_stream(
    gateway: Gateway, child: Callable[[Any], None], ends: int, *, busy: bool
) -> None:
    """Whoever has the turn when the process forks, the child has no share in the connection."""
    warm(gateway)
    exchange, held, ended = gateway.exchange(), threading.Event(), list[int]()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        stream.write(b"before ")
        eventually(lambda: exchange.chunks)
        if busy:
            begun = threading.Event()

            def hold() -> None:
                begun.set()
                held.wait(PATIENCE)

            loop.io_thread().submit(hold)
            begun.wait(PATIENCE)
        pid = os.fork()
        if not pid:
            child(stream)

        def over() -> bool:
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                ended.append(status)
            return bool(gone)

        eventually(over)
        held.set()
        stream.write(b"and after")

    try:
        receipt = call(handler, exchange)
    except ChildError:
        os._exit(CAME_OUT)
    assert os.waitstatus_to_exitcode(ended[0]) == ends
    assert receipt.status == "end"
    assert exchange.body == b"before and after"
    assert len(gateway.requests) == 1
