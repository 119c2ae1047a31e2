"""The policy of coming back, without clock and sockets."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from lambda_client import chance
from lambda_client.reconnect import MAX_BROKEN_RULES, MAX_HOPS, Route, comes_back
from lambda_client.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C = "ws://a", "ws://b", "ws://c"


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(chance, "source", random.Random(5))
    yield


def route(*urls: str) -> Route:
    return Route(urls or (A, B), Timing())


def tried(way: Route, count: int) -> list[str | None]:
    return [way.next_url() for _ in range(count)]


@pytest.mark.fault(1)
def test_the_direct_address_twice_then_the_others() -> None:
    assert tried(route(A, B, C), 8) == [A, A, B, C, A, A, B, C]
    assert tried(route(A), 3) == [A, A, A]
    assert tried(route(A, B), 4) == [A, A, B, A]


def test_the_first_try_is_at_once_then_full_jitter() -> None:
    for attempt, longest in enumerate([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]):
        pauses = []
        for _ in range(400):
            way = route()
            tried(way, attempt)
            pauses.append(way.pause())
        assert max(pauses) <= longest
        assert max(pauses) >= 0.9 * longest
        assert min(pauses) <= 0.1 * longest


def test_thousands_of_tries_do_not_overflow() -> None:
    way = route()
    tried(way, 5000)
    assert way.pause() <= 5.0


def test_a_connection_that_was_of_use_is_replaced_at_once() -> None:
    way = route()
    tried(way, 7)
    way.progressed()
    assert way.pause() == 0.0


def test_what_refused_for_good_is_left_out_until_nothing_is_left() -> None:
    way = route(A, B, C)
    way.refuse(A)
    assert tried(way, 3) == [B, C, B]
    way.refuse(B)
    assert tried(way, 2) == [C, C]
    before = way.open
    way.refuse(C)
    assert [before, way.open] == [True, False]
    assert way.next_url() is None


def test_a_gateway_that_asks_to_wait_is_heeded_once_and_not_for_ever() -> None:
    way = route()
    way.hold(2.0)
    assert way.pause() == 2.0
    way.next_url()
    assert way.pause() <= 0.1
    way.hold(3600.0)
    assert 5.0 <= way.pause() <= 5.1
    way.hold(-1.0)
    assert way.pause() <= 0.1


def test_where_a_gateway_points_to_is_tried_next() -> None:
    way = route(A, B)
    tried(way, 3)
    way.redirect(C, A)
    assert way.open
    assert way.pause() == 0.0
    assert tried(way, 3) == [C, A, A]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (None, A),
        ("http://c", A),
        ("c", A),
        ("", A),
        ("ws://c", "wss://a"),  # nobody may read the token on the way
    ],
)
def test_some_pointers_are_not_followed(url: str | None, origin: str) -> None:
    way = route(A)
    way.redirect(url, origin)
    assert way.next_url() == A


def test_an_encrypted_pointer_is_always_followed() -> None:
    for origin in (A, "wss://a"):
        way = route(A)
        way.redirect("wss://c", origin)
        assert way.next_url() == "wss://c"


def test_gateways_that_point_to_each_other_are_left() -> None:
    way = route(A)
    seen = []
    for number in range(MAX_HOPS + 2):
        way.redirect(f"ws://hop{number}", A)
        seen.append(way.next_url())
    assert seen == [*(f"ws://hop{number}" for number in range(MAX_HOPS)), A, A]
    way.attached(A)
    way.redirect(B, A)
    assert way.next_url() == B


def test_where_the_stream_ran_is_tried_first_when_it_is_lost() -> None:
    way = route(A, B)
    way.refuse(A)
    way.attached(C)
    assert tried(way, 4) == [C, C, A, B]
    way.attached(B)
    assert tried(way, 4) == [B, B, C, A]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011, 4500, 4503, 4504, 4508])
def test_these_come_back_however_often(code: int | None) -> None:
    way = route()
    assert all(way.lost(code) for _ in range(100))


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 4400, 4413])
@pytest.mark.fault(49)
def test_after_broken_rules_three_more_connections(code: int) -> None:
    way = route()
    answers = [way.lost(code) for _ in range(MAX_BROKEN_RULES + 1)]
    assert answers == [True] * 3 + [False]


@pytest.mark.parametrize("code", [4401, 4403, 4406, 4408, 4409, 4420])
def test_these_do_not_come_back(code: int) -> None:
    assert not route().lost(code)
    assert not comes_back(code)
