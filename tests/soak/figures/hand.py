"""A function that speaks the protocol by hand, and breaks its rules in the middle of a body."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from protocol.codec import decode, encode
from protocol.envelope import KEY, Envelope
from protocol.errors import ResetCode
from protocol.frames import Attach, Attached, AttachFlag, Cancel, Data, End, Head, Reset
from protocol.limits import ATTACH_PATH, SUBPROTOCOL
from protocol.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.frames import Frame
    from tests.soak.figures.bodies import Wanted

PIECE = 30_000
BEYOND_ANY_WINDOW = 1 << 40

NOTICED_SECONDS = 2.0
"""How long the gateway may take to notice a broken rule, before the function returns anyway."""


class Hand:
    """One exchange, and the frames that are sent for it.

    Attributes:
        body: what should be sent.
        at: how much of it was.
        answer: what the invocation returns.
    """

    def __init__(self, wanted: Wanted, context: Any) -> None:
        self.wanted = wanted
        self.body = wanted.body()
        self.at = wanted.at
        self.envelope = Envelope.parse(context.client_context.custom[KEY])
        self.answer: object = self.receipt("lost")
        self._epoch = 0
        self._link: ClientConnection

    def dial(self) -> None:
        """Connect and attach; later ones wait for ATTACHED."""
        self._epoch += 1
        self._link = connect(
            self.envelope.urls[0] + ATTACH_PATH,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            additional_headers={"authorization": f"Bearer {self.envelope.token}"},
            compression=None,
            ping_interval=None,
            proxy=None,
        )
        flags = AttachFlag.FRESH if self._epoch == 1 else AttachFlag.HEAD_SENT
        x, e = self.envelope.xid_bytes, self.envelope
        self.send(
            Attach(
                1,
                x,
                e.inv,
                self._epoch,
                e.token,
                bytes(16),
                0,
                self.at if self._epoch > 1 else 0,
                flags,
                0,
                0,
            )
        )

    def attached(self) -> Attached:
        """Wait for the answer to ATTACH."""
        while True:
            frame = decode(self._message())
            if isinstance(frame, Attached):
                return frame

    def send(self, *frames: Frame) -> None:
        for frame in frames:
            self._link.send(encode(frame))

    def say(self, message: str | bytes) -> None:
        """Send what is no frame."""
        self._link.send(message)

    def head(self, more: int = 0) -> None:
        pairs = ((k.encode(), v.encode()) for k, v in self.wanted.headers().items())
        self.send(Head(1, 200 + more, tuple(pairs)))

    def data(self, start: int, stop: int) -> None:
        for offset in range(start, stop, PIECE):
            self.send(Data(1, offset, self.body[offset : min(offset + PIECE, stop)]))

    def end(self, final: int, crc: int) -> None:
        self.send(End(1, final, crc))

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._link.socket.close()

    def close(self) -> None:
        """Go in order, once everything was sent."""
        self._link.close()

    def until_noticed(self) -> None:
        """Take what comes until the gateway hangs up or cancels; whether it does is not judged here."""
        with suppress(WebSocketException, OSError, TimeoutError):
            while not isinstance(decode(self._message()), Cancel):
                pass

    def receipt(
        self, status: Any, *, crc: int = 0, tail: tuple[int, bytes] | None = None, **more: Any
    ) -> object:
        fields = {"xid": self.envelope.xid, "inv": 1, "code": None, **more}
        return Receipt(status=status, final=len(self.body), crc=crc, tail=tail, **fields).to_json()

    def _message(self) -> bytes:
        message = self._link.recv(timeout=NOTICED_SECONDS)
        return message if isinstance(message, bytes) else message.encode()


def bad_crc(hand: Hand) -> None:
    hand.data(hand.at, len(hand.body))
    hand.end(len(hand.body), crc32(hand.body) ^ 1)


def bad_final(hand: Hand) -> None:
    hand.data(hand.at, len(hand.body))
    hand.end(len(hand.body) + 1, crc32(hand.body))


def gap(hand: Hand) -> None:
    hand.data(hand.at + 1, len(hand.body))
    hand.end(len(hand.body), crc32(hand.body))


def overrun(hand: Hand) -> None:
    hand.send(Data(1, BEYOND_ANY_WINDOW, b"x"))


def other_bytes(hand: Hand) -> None:
    """Come back with a body that was never the one begun."""
    hand.cut()
    hand.body = bytes(len(hand.body))
    hand.dial()
    hand.data(hand.attached().recv, len(hand.body))
    hand.end(len(hand.body), crc32(hand.body))


def malformed(hand: Hand) -> None:
    hand.say(b"\x95\x04\xc1 no frame of ours")


def text(hand: Hand) -> None:
    hand.say("a text message")


def another_head(hand: Hand) -> None:
    hand.head(more=1)


def ordinary(hand: Hand) -> None:
    hand.cut()
    hand.answer = {"statusCode": 200, "body": "as if nothing had been sent"}


def nothing(hand: Hand) -> None:
    hand.cut()
    hand.answer = None


def bad_tail(hand: Hand) -> None:
    hand.cut()
    tail = hand.at, hand.body[hand.at :]
    hand.answer = hand.receipt("end", crc=crc32(hand.body) ^ 1, tail=tail)


def tail_with_a_gap(hand: Hand) -> None:
    hand.cut()
    tail = hand.at + 1, hand.body[hand.at + 1 :]
    hand.answer = hand.receipt("end", crc=crc32(hand.body), tail=tail)


def foreign_receipt(hand: Hand) -> None:
    hand.cut()
    tail = hand.at, hand.body[hand.at :]
    hand.answer = hand.receipt("end", crc=crc32(hand.body), tail=tail, xid="0" * 32)


def reset(code: int) -> Callable[[Hand], None]:
    def send(hand: Hand) -> None:
        hand.send(Reset(1, code, hand.at, "as it was told to"))
        hand.close()

    return send


KINDS: dict[str, Callable[[Hand], None]] = {
    "bad-crc": bad_crc,
    "bad-final": bad_final,
    "gap": gap,
    "overrun": overrun,
    "other-bytes": other_bytes,
    "malformed": malformed,
    "text": text,
    "another-head": another_head,
    "ordinary-answer": ordinary,
    "no-answer": nothing,
    "bad-tail": bad_tail,
    "tail-with-a-gap": tail_with_a_gap,
    "foreign-receipt": foreign_receipt,
    **{f"reset-{code.name.lower()}": reset(code) for code in ResetCode},
}


NOTICED = {
    "bad-crc",
    "bad-final",
    "gap",
    "overrun",
    "other-bytes",
    "malformed",
    "text",
    "another-head",
}
"""What the gateway must find out by itself; of the others the function's answer tells, or nothing."""


def respond(kind: str, wanted: Wanted, context: Any) -> object:
    """Send the first bytes, break the rule, wait for what the gateway makes of it, and return."""
    hand = Hand(wanted, context)
    hand.dial()
    hand.head()
    hand.data(0, wanted.at)
    wanted.wait()
    KINDS[kind](hand)
    if kind in NOTICED:
        hand.until_noticed()
        hand.cut()
    return hand.answer
