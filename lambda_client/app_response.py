"""What ASGI and WSGI applications have in common: how their responses become those of an outlet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambda_client.result import BODILESS
from protocol.headers import content_length
from protocol.limits import INLINE_ANSWER_MAX

if TYPE_CHECKING:
    from lambda_client.response import Outlet
    from protocol.headers import HeaderList

_FAILURE = b"Internal Server Error"
_FAILURE_HEAD: HeaderList = ((b"content-type", b"text/plain; charset=utf-8"),)


class AppResponse:
    """One response of an application, on its way into an outlet.

    Attributes:
        bodiless: by HTTP's rules no body follows; what the application sends of it is dropped.
        complete: the application has said all.
        opened: dialling was begun for it. What has ended until then returns with the receipt, if it fits.
    """

    def __init__(self, outlet: Outlet, method: str) -> None:
        """Begin a response.

        Args:
            outlet: where it goes.
            method: of the request, upper case.
        """
        self._started = self.bodiless = self.complete = self.opened = False
        self._outlet = outlet
        self._method = method
        self._length: int | None = None
        self._taken = 0

    @property
    def started(self) -> bool:
        """Whether the head was given. A signal's handler may have raised just behind that: the outlet knows."""
        return self._started or self._outlet.started

    def announce(self, status: int, headers: HeaderList) -> None:
        """Tell what head will come. Dialling begins when its body may be long, or long in coming.

        Raises:
            protocol.headers.HeadError: the Content-Length is not valid.
        """
        self.bodiless = self._method == "HEAD" or status in BODILESS
        self._length = length = content_length(headers)
        if not self.bodiless and (length is None or length > INLINE_ANSWER_MAX):
            self.open()

    def open(self) -> None:
        """Begin to dial: this response is streamed. Harmless when done before."""
        if not self.opened:
            self._outlet.open()
            self.opened = True

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head.

        Raises:
            protocol.headers.HeadError: status or a header is not valid.
            StreamClosed: nobody takes the response any more.
        """
        self._outlet.start(status, headers)
        self._started = True

    def take(self, piece: bytes, *, more: bool) -> bytes:
        """Return what of a piece of the body is to be written, now that all is open that it needs.

        Args:
            piece: as the application sent it.
            more: whether another one may follow. What fits the receipt then waits for nothing.
        """
        if not self.opened:
            self._taken += len(piece)
            waits = more and (self._length is None or self._taken < self._length)
            if waits or (self._taken > INLINE_ANSWER_MAX and not self.bodiless):
                self.open()
        return b"" if self.bodiless else piece

    def end(self) -> None:
        """Say that the body is complete."""
        self.complete = True
        self._outlet.end()

    def fail(self) -> None:
        """Answer for an application that could not: as other servers do.

        Raises:
            StreamClosed: nobody takes the response any more.
        """
        self.start(500, _FAILURE_HEAD)
        if self._method != "HEAD":
            self._outlet.write(_FAILURE)
        self.end()
