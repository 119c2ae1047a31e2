"""What ASGI and WSGI applications have in common: how their responses become those of an outlet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambda_client.result import BODILESS
from protocol.headers import content_length
from protocol.limits import INLINE_ANSWER_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lambda_client.response import Outlet
    from protocol.headers import HeaderList

_FAILURE = b"Internal Server Error"
_FAILURE_HEAD: HeaderList = ((b"content-type", b"text/plain; charset=utf-8"),)


class AppResponse:
    """One response of an application, on its way into an outlet.

    Attributes:
        complete: the application has said all.
    """

    def __init__(self, outlet: Outlet, method: str) -> None:
        """Begin a response.

        Args:
            outlet: where it goes.
            method: of the request, upper case.
        """
        self.complete = False
        self._outlet = outlet
        self._method = method
        self._length: int | None = None
        self._taken = 0
        self._bodiless = False

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        return self._outlet.started

    @property
    def bodiless(self) -> bool:
        """Whether by HTTP's rules no body follows; what the application sends of it is dropped."""
        return self._bodiless

    @property
    def all_here(self) -> bool:
        """Whether as much of the body was taken as its head promised."""
        return self._length is not None and self._taken >= self._length

    def announce(self, status: int, headers: HeaderList) -> None:
        """Tell what head will come. Dialling begins when its body may be long, or long in coming.

        Raises:
            protocol.headers.HeadError: the Content-Length is not valid.
        """
        self._bodiless = self._method == "HEAD" or status in BODILESS
        self._length = content_length(headers)
        if not self._bodiless and (self._length is None or self._length > INLINE_ANSWER_MAX):
            self._outlet.open()

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head.

        Raises:
            protocol.headers.HeadError: status or a header is not valid.
            StreamClosed: nobody takes the response any more.
        """
        self._outlet.start(status, headers)

    def take(self, piece: bytes, *, more: bool) -> bytes:
        """Return what of a piece of the body is to be written, now that all is open that it needs.

        Args:
            piece: as the application sent it.
            more: whether another one may follow. What fits the receipt then waits for nothing.
        """
        self._taken += len(piece)
        waits = more and not self.all_here
        if waits or (self._taken > INLINE_ANSWER_MAX and not self._bodiless):
            self._outlet.open()
        return b"" if self._bodiless else piece

    def end(self) -> None:
        """Say that the body is complete."""
        self.complete = True
        self._outlet.end()

    def fail(self) -> None:
        """Answer for an application that could not: as other servers do.

        Raises:
            StreamClosed: nobody takes the response any more.
        """
        self._outlet.start(500, _FAILURE_HEAD)
        if self._method != "HEAD":
            self._outlet.write(_FAILURE)
        self.end()


def header_list(pairs: Iterable[tuple[bytes, bytes]]) -> HeaderList:
    """Return header pairs with names in lower case; values keep their bytes."""
    return tuple((bytes(name).lower(), bytes(value)) for name, value in pairs)
