from __future__ import annotations

import json

import pytest

from protocol.envelope import Envelope, JsonFields
from protocol.errors import RemoteProtocolError
from tests.protocol.link import envelope


@pytest.mark.parametrize(
    "changes",
    [{}, {"body": "stream"}, {"body": "stream", "body_length": 7, "inv": 3}, {"probe_ms": 0}],
)
def test_round_trip_through_json(changes: dict[str, object]) -> None:
    one = envelope(**changes)
    assert Envelope.parse(json.loads(json.dumps(one.to_json()))) == one
    assert one.xid_bytes == bytes(range(16))


def test_unknown_keys_are_ignored() -> None:
    assert Envelope.parse(envelope().to_json() | {"later": 1}) == envelope()


def test_the_token_is_not_shown() -> None:
    assert "s3cret" not in repr(envelope(token="s3cret"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", 2),
        ("v", None),
        ("xid", "A" * 32),
        ("xid", "ab"),
        ("xid", 1),
        ("inv", 0),
        ("inv", True),
        ("inv", "1"),
        ("urls", []),
        ("urls", "ws://x"),
        ("urls", ["http://x"]),
        ("urls", [1]),
        ("urls", ["ws://x"] * 5),
        ("urls", ["ws://" + "x" * 2048]),
        ("token", ""),
        ("token", "x" * 2049),
        ("token", "a\r\nb: c"),
        ("token", "a b"),
        ("token", "a\x7fb"),
        ("token", "\xe9"),
        ("token", "\ud800"),
        ("urls", ["ws://x/\0"]),
        ("urls", ["ws://\u20ac"]),
        ("window", 0),
        ("max_frame", 4095),
        ("max_frame", 1048577),
        ("body", "later"),
        ("body_length", -1),
        ("body_length", 1.5),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object) -> None:
    with pytest.raises(RemoteProtocolError, match=f"envelope.{key} must be"):
        Envelope.parse(envelope().to_json() | {key: value})


def test_it_must_be_an_object() -> None:
    with pytest.raises(RemoteProtocolError, match="not a JSON object"):
        Envelope.parse([1])


def test_an_optional_text() -> None:
    fields = JsonFields({"dial": "refused", "empty": ""}, "receipt")
    assert fields.optional_text("dial", 9) == "refused"
    assert fields.optional_text("missing", 9) is None
    with pytest.raises(RemoteProtocolError, match=r"receipt\.empty must be"):
        fields.optional_text("empty", 9)
