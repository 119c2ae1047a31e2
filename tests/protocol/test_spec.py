"""SPEC.md says what the code does: its tables are compared with the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import protocol
from protocol import limits
from protocol.codec import FRAME_TABLE, RESERVED_TYPES
from protocol.errors import CancelCode, CloseCode, GoawayCode, RejectCode, ResetCode
from protocol.frames import AttachedFlag, AttachFlag, EndFlag
from tests.protocol.link import envelope
from tests.protocol.test_receipt import PLAIN

if TYPE_CHECKING:
    from enum import IntEnum, IntFlag

ROOM = Path(protocol.__file__).parent
SPEC = (ROOM / "SPEC.md").read_text()
KINDS = json.loads((ROOM / "vectors.json").read_text())["frames"]


def table(first_heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading."""
    _, found, rest = SPEC.partition(f"\n| {first_heading} |")
    assert found, first_heading
    lines = rest.split("\n")[2:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_the_frame_table() -> None:
    *rows, reserved = table("#")
    expected = [
        [
            str(row.number),
            row.name,
            row.direction.value,
            ", ".join(f"{name} {kind}" for name, kind in KINDS[str(row.number)]["fields"])
            or "(none)",
        ]
        for row in FRAME_TABLE
    ]
    assert rows == expected
    assert reserved[:2] == [", ".join(map(str, RESERVED_TYPES)), "reserved"]


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("REJECT code", RejectCode),
        ("RESET code", ResetCode),
        ("CANCEL code", CancelCode),
        ("GOAWAY code", GoawayCode),
        ("close code", CloseCode),
        ("ATTACH flag", AttachFlag),
        ("ATTACHED flag", AttachedFlag),
        ("END flag", EndFlag),
    ],
)
def test_the_code_tables(heading: str, codes: type[IntEnum] | type[IntFlag]) -> None:
    rows = [(int(number), name) for number, name, _ in table(heading)]
    assert rows == [(int(code), code.name) for code in codes]


def test_the_keys_of_envelope_and_receipt() -> None:
    keys = [set(re.findall(r"`(\w+)`", row[0])) for row in table("key")]
    assert set.union(*keys) == set(envelope(probe_ms=1).to_json())
    receipt_part = SPEC[SPEC.index("The receipt is the JSON object") :]
    documented = set(
        re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", receipt_part, re.M)))
    )
    fields = PLAIN.to_json()["dialback"]
    assert isinstance(fields, dict)
    assert documented == {*fields, "code", "head", "tail", "dial"}


@pytest.mark.parametrize(
    "number",
    [
        limits.INITIAL_WINDOW,
        limits.MAX_WINDOW,
        limits.MIN_MAX_FRAME,
        limits.MAX_MAX_FRAME,
        limits.MAX_HEADER_SIZE,
        limits.MAX_HEAD_SIZE,
        limits.INLINE_ANSWER_MAX,
        limits.PARTING_MAX,
        limits.RECEIPT_BODY_MAX,
        limits.MAX_TOKEN,
        limits.Limits().ping_ms,
        limits.Limits().park_ttl_ms,
        limits.Limits().resume_grace_ms,
    ],
)
def test_the_numbers(number: int) -> None:
    assert f"{number:,}" in SPEC


def test_the_names_of_the_transport() -> None:
    assert limits.SUBPROTOCOL in SPEC
    assert limits.ATTACH_PATH in SPEC
    names = ", ".join(limits.Limits.__dataclass_fields__)
    assert f"[{names}]" in SPEC
