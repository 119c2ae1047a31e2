"""A process that streams for many functions at once: each invocation a thread, with a socket of its own.

python -m tests.soak.figures.peer SOCKET

Two hundred workers that stream would measure this machine's memory more than the gateway's. So each
worker passes its envelope on to here (see `borrowed` in `functions`), where the same library carries
the stream, and returns the receipt that comes back.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lambda_client import streaming

if TYPE_CHECKING:
    from collections.abc import Iterator

    Event = dict[str, Any]

BLOCK = bytes(64 << 10)
BACKLOG = 1024


@streaming
def unthrottled(event: Event, context: object) -> Iterator[Event | bytes]:
    """Bytes without end, as fast as they are taken."""
    yield {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}
    while True:
        yield BLOCK


def serve(link: socket.socket) -> None:
    """Run one invocation for the worker at the other end."""
    with link, link.makefile("rw") as lines:
        asked = json.loads(lines.readline())
        context = SimpleNamespace(
            client_context=SimpleNamespace(custom={"dialback": asked["envelope"]}),
            get_remaining_time_in_millis=lambda: asked["remaining_ms"],
        )
        json.dump(unthrottled({}, context), lines)


def main(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(BACKLOG)
        print("ready", flush=True)
        while True:
            link, _ = listener.accept()
            threading.Thread(target=serve, args=(link,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
