"""The emulated Lambda's HTTP parser: the same bytes, however they are cut, are the same requests."""

from __future__ import annotations

from gateway.invoke.local.http1 import BadHttp, Request, RequestReader
from tests.fuzz.choices import Choices

BODY_MAX = 64


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    step = 1 + choices.below(255)
    stream = choices.rest()
    whole = _read([stream])
    cut = _read([stream[at : at + step] for at in range(0, len(stream), step)])
    if whole is None:
        assert cut is None, "refused in one piece, taken in several"
        return
    assert cut == whole
    for request in whole:
        assert request.body is None or len(request.body) <= BODY_MAX
        assert not any(b" " in word or b"\r\n" in word for word in (request.method, request.path))


def _read(pieces: list[bytes]) -> list[Request] | None:
    """The requests in these pieces; None if the reader refuses them."""
    reader = RequestReader(BODY_MAX)
    requests: list[Request] = []
    try:
        for piece in pieces:
            requests += reader.feed(piece)
    except BadHttp:
        return None
    return requests
