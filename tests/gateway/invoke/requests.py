"""Requests as the edge hands them on, for tests of what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.messages import EdgeRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class NoBody:
    """The event takes its body as an argument; the request's own is not read."""

    length = None

    async def read_up_to(self, limit: int) -> tuple[bytes, bool]:
        raise AssertionError("not to be read")

    def chunks(self) -> AsyncIterator[bytes]:
        raise AssertionError("not to be read")


def edge_request(
    *headers: tuple[bytes, bytes],
    method: str = "POST",
    path: str = "/",
    query: str = "",
    scheme: str = "http",
    client_address: str = "192.0.2.7",
) -> EdgeRequest:
    return EdgeRequest(
        method=method,
        path=path,
        query=query,
        headers=headers,
        version="HTTP/1.1",
        scheme=scheme,
        client_address=client_address,
        trace_id="Root=1-00000000-000000000000000000000000",
        body=NoBody(),
    )
