"""Both payloads against what AWS has published; `golden/README.md` names the sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.origin import Proxies
from gateway.invoke.event import build_event
from gateway.invoke.result import BufferedResponse, parse_result
from tests.gateway.invoke.requests import edge_request

GOLDEN = Path(__file__).parent / "golden"


def cases(name: str) -> list[Any]:
    return [
        pytest.param(case, id=case["name"])
        for case in json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    ]


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf by its dotted path; empty containers and lists are leaves."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        key: leaf
        for name, item in value.items()
        for key, leaf in flat(item, f"{path}.{name}".lstrip(".")).items()
    }


@pytest.mark.parametrize("case", cases("events.json"))
def test_the_event_is_what_aws_made_of_the_request(case: dict[str, Any]) -> None:
    asked = case["request"]
    sent = tuple((name.encode(), value.encode()) for name, value in asked["headers"])
    origin = Proxies().origin("123.123.123.123", "https", sent)
    request = edge_request(
        *origin.headers,
        method=asked["method"],
        path=asked["path"],
        query=asked["query"],
        client_address=origin.address,
    )
    body = asked["body"].encode() if asked["body"] is not None else None
    event = build_event(request, exchange_id="id", body=body, now=asked["now"])
    ours, theirs = flat(json.loads(event)), flat(case["event"])
    different = {
        key for key in ours.keys() | theirs.keys() if ours.get(key, ...) != theirs.get(key, ...)
    }
    assert different == set(case["differs"])


@pytest.mark.parametrize("case", cases("results.json"))
def test_the_response_is_what_a_function_url_made_of_the_result(case: dict[str, Any]) -> None:
    # awslambdaric writes JSON with blanks: the recorded bodies had lost them.
    response = parse_result(json.dumps(case["returned"]).encode())
    headers = tuple((name.encode(), value.encode()) for name, value in case["headers"])
    assert response == BufferedResponse(case["status"], headers, case["body"].encode())
