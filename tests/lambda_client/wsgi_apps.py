"""WSGI applications, as their tests write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_client import wsgi
from tests.lambda_client.gateway import Exchange, context, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Environ = dict[str, Any]
    Start = Callable[..., Callable[[bytes], None]]
    App = Callable[[Environ, Start], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]


def run(app: App, exchange: Exchange | None = None, **changes: Any) -> Any:
    return wsgi(app)(event(exchange, **changes), context(exchange))


class Pieces:
    """What an application returns, and whether it was closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self.closed += 1
