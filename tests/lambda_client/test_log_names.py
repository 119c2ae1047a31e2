"""Every line of the library names its exchange, as keys where logs are JSON."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from lambda_client.invocation import read_invocation
from lambda_client.log_names import LOGGERS, Names
from protocol.envelope import KEY

XID = "ab" * 16
TRACES = {
    "x-amzn-trace-id": "Root=1-abcdefab-abcdefabcdefabcdefabcdef",
    "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
}
ENVELOPE = {
    "v": 1,
    "xid": XID,
    "inv": 1,
    "urls": ["ws://127.0.0.1:1"],
    "token": "t",
    "window": 65536,
    "max_frame": 65536,
    "body": "inline",
}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Those of a runtime whose logs are JSON."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", "JSON")
    return _installed(Names(), monkeypatch)


@pytest.fixture
def text_names(monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.delenv("AWS_LAMBDA_LOG_FORMAT", raising=False)
    return _installed(Names(), monkeypatch)


def _installed(names: Names, monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.setattr("lambda_client.invocation.NAMES", names)
    for name in LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "filters", [names])
    return names


def begin(headers: Any, envelope: dict[str, Any] | None) -> None:
    custom = {} if envelope is None else {KEY: dict(envelope)}
    context = SimpleNamespace(client_context=SimpleNamespace(custom=custom))
    read_invocation({"headers": headers}, context, now=0.0)


@pytest.mark.parametrize("logger", LOGGERS)
def test_lambda_s_json_lines_have_them_as_keys(
    logger: str, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    begin(TRACES, ENVELOPE)
    logging.getLogger(logger).warning("cut after %d bytes", 7)
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["message"], line["logger"]) == ("cut after 7 bytes", logger)
    assert (line["exchange"], line["trace"]) == (XID, TRACES["x-amzn-trace-id"])
    assert line["traceparent"] == TRACES["traceparent"]
    assert "t" not in line.values(), "the token"


@pytest.mark.parametrize(
    ("message", "arguments", "said"), [("cut", (), "cut"), ("cut %d", (7,), "cut 7")]
)
def test_text_lines_end_with_them(
    message: str,
    arguments: tuple[int, ...],
    said: str,
    text_names: Names,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begin({"traceparent": "100%d"}, ENVELOPE)
    logging.getLogger("dialback").warning(message, *arguments)
    assert caplog.records[-1].getMessage() == f"{said} [exchange={XID} traceparent=100%d]"


@pytest.mark.parametrize("headers", [None, 5, {"traceparent": ["no", "text"]}])
def test_strange_events_do_no_harm(
    headers: Any, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    begin(headers, ENVELOPE)
    logging.getLogger("dialback").warning("x")
    assert vars(caplog.records[-1])["exchange"] == XID
    assert "traceparent" not in vars(caplog.records[-1])


def test_what_no_gateway_asked_for_names_none(
    names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    begin(TRACES, ENVELOPE)
    begin(TRACES, None)
    logging.getLogger("dialback").warning("x")
    assert not {"exchange", "trace"} & vars(caplog.records[-1]).keys()
