"""The address of this machine that goes into ``callback_url``."""

from __future__ import annotations

import pytest

from gateway.address import Address
from gateway.callback_url import own_host
from gateway.config import GatewaySettings, from_environment
from gateway.workers.plan import callback_urls

UNREACHABLE = ("255.255.255.255", "::ffff:255.255.255.255")
"""A broadcast needs a right of its own, and this has none."""


def test_it_is_that_of_the_way_there() -> None:
    assert own_host(["127.0.0.1"]) == "127.0.0.1"
    assert own_host([*UNREACHABLE, "127.0.0.1"]) == "127.0.0.1"


def test_without_a_way_it_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="no way to others; write it out"):
        own_host(UNREACHABLE)


def test_each_worker_has_it_in_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.callback_url.own_host", lambda: "10.0.1.7")
    told = {"DIALBACK_CALLBACK_URL": "ws://{host}:{port}", "DIALBACK_CALLBACK": "0.0.0.0:8081"}
    settings = from_environment(GatewaySettings(workers=2), told)
    assert settings.dialled_at(Address("127.0.0.1", 8081)) == "ws://10.0.1.7:8081"
    assert callback_urls(settings) == ["ws://10.0.1.7:8081", "ws://10.0.1.7:8082"]
