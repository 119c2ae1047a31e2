"""Trace context, in X-Ray's notation and in the W3C's."""

from __future__ import annotations

import pytest

from gateway.edge.trace import with_trace

EXCHANGE = "0123456789abcdef0123456789abcdef"
NOW = 0x65F00000 + 0.5
MADE = "1-65f00000-0123456789abcdef01234567"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"
W3C = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


def traced(**headers: str) -> tuple[dict[str, str], str]:
    pairs = tuple(
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    )
    completed, trace_id = with_trace(pairs, EXCHANGE, NOW)
    assert len(dict(completed)) == len(completed)
    return {name.decode(): value.decode() for name, value in completed}, trace_id


def test_a_trace_begins_where_there_is_none() -> None:
    headers, trace_id = traced(x_a="1")
    assert trace_id == f"Root={MADE}"
    assert headers == {
        "x-a": "1",
        "x-amzn-trace-id": trace_id,
        "traceparent": "00-65f000000123456789abcdef01234567-0123456789abcdef-01",
    }


@pytest.mark.parametrize(
    "value",
    [
        f"Root={ROOT}",
        f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1",
        f"Self=1-67891234-12456789abcdef012345678a;Root={ROOT};Sampled=1",
        f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1|68fd508a:5",
    ],
)
def test_xrays_is_passed_on_and_the_w3cs_made_of_it(value: str) -> None:
    headers, trace_id = traced(x_amzn_trace_id=value)
    assert trace_id == headers["x-amzn-trace-id"] == value
    assert headers["traceparent"] == "00-5759e988bd862e3fe1be46a994272793-0123456789abcdef-01"


def test_what_is_not_sampled_stays_so() -> None:
    assert traced(x_amzn_trace_id=f"Root={ROOT};Sampled=0")[0]["traceparent"].endswith("-00")
    assert traced(traceparent=W3C[:-2] + "00")[1].endswith(";Sampled=0")


def test_the_w3cs_is_passed_on_and_xrays_made_of_it() -> None:
    headers, trace_id = traced(traceparent=W3C, tracestate="a=1,b=2")
    assert (headers["traceparent"], headers["tracestate"]) == (W3C, "a=1,b=2")
    assert (
        trace_id == headers["x-amzn-trace-id"] == f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"
    )


def test_both_are_passed_on_as_they_came() -> None:
    given = {"x_amzn_trace_id": f"Root={MADE}", "traceparent": W3C, "tracestate": "a=1"}
    headers, trace_id = traced(**given)
    assert headers == {name.replace("_", "-"): value for name, value in given.items()}
    assert trace_id == f"Root={MADE}"


@pytest.mark.parametrize(
    "headers",
    [
        {"x_amzn_trace_id": "Root=1-0-1"},
        {"x_amzn_trace_id": "Parent=53995c3f42cd8ad8"},
        {"x_amzn_trace_id": f"Root={ROOT} x"},
        {"x_amzn_trace_id": f"Root={ROOT};" + "A=" + "b" * 65},
        {"x_amzn_trace_id": f"Root={ROOT}" + ";A=b" * 8},
        {"x_amzn_trace_id": ""},
        {"traceparent": "00-" + "0" * 32 + "-53995c3f42cd8ad8-01", "tracestate": "a=1"},
        {"traceparent": W3C.replace("53995c3f42cd8ad8", "0" * 16)},
        {"traceparent": W3C.upper()},
        {"traceparent": "ff" + W3C[2:]},
        {"traceparent": W3C + "-00"},
        {"tracestate": "a=1"},
    ],
)
def test_what_is_not_valid_is_made_anew(headers: dict[str, str]) -> None:
    completed, trace_id = traced(**headers)
    assert trace_id == f"Root={MADE}"
    assert completed.keys() == {"x-amzn-trace-id", "traceparent"}
