from __future__ import annotations

from typing import Any

import pytest

from protocol.headers import HeadError, check_head, content_length, strip_hop_by_hop


def test_names_are_lowered_order_and_repeats_kept() -> None:
    assert check_head(
        200, [(b"Set-Cookie", b"a=1"), (b"X-A", b" b\t"), (b"set-cookie", b"c=2")]
    ) == (
        (b"set-cookie", b"a=1"),
        (b"x-a", b"b"),
        (b"set-cookie", b"c=2"),
    )


@pytest.mark.parametrize("status", [0, 199, 600, 200.0, "200", None])
def test_a_status_that_is_none(status: Any) -> None:
    with pytest.raises(HeadError, match=f"status {status!r} is no integer") as caught:
        check_head(status, [])
    assert caught.value.header is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"", b"x"),
        (b"a b", b"x"),
        (b"a:", b"x"),
        (b"\xc3\xa9", b"x"),
        (b"a", b"x\r\ny: z"),
        (b"a", b"\n"),
        (b"a", b"\0"),
        (b"a", b"x" * 16384),
        (b"content-length", b"-1"),
        (b"content-length", b"1, 1"),
        (b"content-length", b""),
        (b"content-length", b"9" * 19),
    ],
)
def test_a_header_that_must_not_reach_a_client_is_refused_by_name(
    name: bytes, value: bytes
) -> None:
    with pytest.raises(HeadError) as caught:
        check_head(200, [(name, value)])
    assert caught.value.header == name


def test_values_are_bytes_in_whatever_coding() -> None:
    assert check_head(200, [(b"a", b"caf\xe9"), (b"b", b"\xc3\xa9")]) == (
        (b"a", b"caf\xe9"),
        (b"b", b"\xc3\xa9"),
    )


def test_host_is_never_of_one_hop_only() -> None:
    headers = [(b"host", b"a"), (b"connection", b"Host, x-a"), (b"x-a", b"1")]
    assert strip_hop_by_hop(headers) == ((b"host", b"a"),)


def test_a_repeated_content_length_is_refused() -> None:
    with pytest.raises(HeadError, match="repeated"):
        check_head(200, [(b"content-length", b"1"), (b"Content-Length", b"1")])


def test_too_many_and_too_large() -> None:
    with pytest.raises(HeadError, match="129 headers"):
        check_head(200, [(b"a", b"b")] * 129)
    with pytest.raises(HeadError, match="bytes of headers"):
        check_head(200, [(b"a", b"x" * 16000)] * 4)
    with pytest.raises(HeadError, match="bytes of headers"):  # what is remembered has them, too
        check_head(200, [(b"a", b" " * 16000)] * 4)


def test_content_length() -> None:
    assert content_length(((b"content-length", b"12"),)) == 12
    assert content_length(((b"a", b"1"),)) is None


def test_hop_by_hop_headers_and_those_that_connection_names_are_dropped() -> None:
    pairs = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"te", b"x"), (b"a", b"b")]
    assert strip_hop_by_hop(pairs) == ((b"a", b"b"),)
    assert check_head(200, [(b"Transfer-Encoding", b"chunked")]) == ()
