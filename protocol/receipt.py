"""The receipt: what the function returns to the invoke, as JSON under the key ``dialback``.

The invoke's result is a second way for the end of a response: whatever the callback could not carry
any more stands in it as the tail.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from protocol.envelope import KEY, VERSION, JsonFields, V
from protocol.errors import RemoteProtocolError
from protocol.limits import (
    MAX_HEADERS,
    MAX_INT,
    MAX_MESSAGE,
    MAX_STATUS,
    MIN_STATUS,
    RECEIPT_BODY_MAX,
)

if TYPE_CHECKING:
    from protocol.headers import HeaderList

_NUMBERS = {
    "v": V,
    "inv": range(1, MAX_INT + 1),
    "final": range(MAX_INT + 1),
    "crc": range(2**32),
}
#: Keys without which there is no receipt: these numbers, `xid` and `status`.
_REQUIRED = len(_NUMBERS) + 2


@dataclass(slots=True)
class Receipt:
    """How one response ended, as the function sees it; not changed once made (see `protocol.frames`).

    Attributes:
        xid: the exchange, 32 hexadecimal digits.
        inv: the invocation that returns this.
        status: ``end``: complete (together with the tail, if there is one); ``reset``: broken off
            with `code`; ``lost``: bytes are gone that were never acknowledged.
        code: `ResetCode` of a reset.
        final: length of the body in bytes.
        crc: CRC-32 of the body.
        head: status and headers, whenever the function does not know that they arrived.
        tail: offset and bytes that were not acknowledged; at most 4 MiB.
        dial: why the callback could not be reached, when it could not.
    """

    xid: str
    inv: int
    status: Literal["end", "reset", "lost"]
    code: int | None
    final: int
    crc: int
    head: tuple[int, HeaderList] | None = None
    tail: tuple[int, bytes] | None = None
    dial: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object, key ``dialback`` included; what is None is left out."""
        fields: dict[str, object] = {
            "v": VERSION,
            "xid": self.xid,
            "inv": self.inv,
            "status": self.status,
            "final": self.final,
            "crc": self.crc,
        }
        if self.code is not None:
            fields["code"] = self.code
        if self.head is not None:
            pairs = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in self.head[1]]
            fields["head"] = {"status": self.head[0], "headers": pairs}
        if self.tail is not None:
            encoded = b64encode(self.tail[1]).decode("ascii")
            fields["tail"] = {"offset": self.tail[0], "base64": encoded}
        if self.dial is not None:
            fields["dial"] = self.dial
        return {KEY: fields}

    @classmethod
    def parse(cls, obj: object) -> Receipt | None:
        """Read what an invocation returned.

        Returns:
            The receipt; None when this is an ordinary result (no object under ``dialback``).

        Raises:
            RemoteProtocolError: it says it is a receipt, but a key is missing or wrong.
        """
        said = obj.get(KEY) if isinstance(obj, dict) else None
        if not isinstance(said, dict):
            return None
        fields = JsonFields(said, "receipt")
        _, inv, final, crc = fields.integers(_NUMBERS)
        status = said.get("status")
        if status not in ("end", "reset", "lost"):
            raise fields.wrong("status", "'end', 'reset' or 'lost'")
        if len(said) == _REQUIRED:  # nearly always: the callback carried the rest
            return cls(fields.xid(), inv, status, None, final, crc)
        return cls(
            xid=fields.xid(),
            inv=inv,
            status=status,
            code=fields.optional_integer("code"),
            final=final,
            crc=crc,
            head=_head(said.get("head")),
            tail=_tail(said.get("tail")),
            dial=fields.optional_text("dial", MAX_MESSAGE),
        )


def _head(said: object) -> tuple[int, HeaderList] | None:
    if said is None:
        return None
    head = JsonFields(said, "receipt.head")
    status = head.integer("status", MIN_STATUS, MAX_STATUS)
    pairs = head.said.get("headers")
    if not isinstance(pairs, list) or len(pairs) > MAX_HEADERS:
        raise head.wrong("headers", f"a list of at most {MAX_HEADERS} pairs")
    return status, tuple(_pair(pair, head) for pair in pairs)


def _pair(pair: object, head: JsonFields) -> tuple[bytes, bytes]:
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
        raise head.wrong("headers", "pairs of strings")
    try:
        return pair[0].encode("latin-1"), pair[1].encode("latin-1")
    except UnicodeEncodeError:
        raise head.wrong("headers", "latin-1 strings") from None


def _tail(said: object) -> tuple[int, bytes] | None:
    if said is None:
        return None
    tail = JsonFields(said, "receipt.tail")
    encoded = tail.said.get("base64")
    if not isinstance(encoded, str):
        raise tail.wrong("base64", "a string")
    try:
        data = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise RemoteProtocolError("receipt.tail.base64 is not base64") from None
    if len(data) > RECEIPT_BODY_MAX:
        raise tail.wrong("base64", f"at most {RECEIPT_BODY_MAX} bytes")
    return tail.integer("offset"), data
