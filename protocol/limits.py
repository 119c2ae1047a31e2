"""Every number of the protocol, each with its reason, and the choice of a subprotocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

KIB = 1024
MIB = 1024 * KIB

#: One token per major version, best first. A peer offers every major version that it speaks.
SUBPROTOCOLS = ("dialback.v1",)
SUBPROTOCOL = SUBPROTOCOLS[0]
#: Appended to the callback URL of an envelope.
ATTACH_PATH = "/v1/attach"

#: Offsets are absolute, so 63 bits (signed 64-bit in every language) never wrap: 9 exabytes.
MAX_INT = 2**63 - 1
#: Type numbers from here on may be ignored by a receiver that does not know them (up to 127).
FIRST_IGNORABLE_TYPE = 64
LAST_TYPE = 127
#: The array of a HEAD is the outer array, the list, and the pairs.
MAX_DEPTH = 3
#: A HEAD of 256 pairs, as many as its array holds, has 774; an element costs a decoder up to 100 bytes.
MAX_ELEMENTS = 1024

#: Below 4 KiB the cost per frame dominates; over 1 MiB one frame blocks control frames for too long.
MIN_MAX_FRAME = 4 * KIB
MAX_MAX_FRAME = MIB
#: A DATA of 64 KiB costs about as much in copying and CRC as in framing.
DEFAULT_MAX_FRAME = 64 * KIB
#: What a message may hold beside a full DATA payload or head: type, ids, offsets, array headers.
MESSAGE_OVERHEAD = KIB

#: A bandwidth-delay product of 256 KiB: 20 MB/s at 13 ms, Lambda to gateway in one region.
INITIAL_WINDOW = 256 * KIB
#: For far gateways; it is also the most a stream may hold in memory on either side.
MAX_WINDOW = 4 * MIB
#: Base64 of 4 MiB and the rest stay under the 6 MB that a buffered Lambda may return
#: (AWS Lambda quotas: synchronous invocation payload).
RECEIPT_BODY_MAX = 4 * MIB
#: A response this small is cheaper in the invoke's own answer than over a socket.
INLINE_ANSWER_MAX = 64 * KIB
#: To send so much again, in the receipt, is cheaper than to wait for END_ACK; at twice as much that is within noise.
PARTING_MAX = 16 * KIB
#: Base64 of 4 MiB and the rest of the event stay under the 6 MB of an invoke payload.
INLINE_REQUEST_MAX = 4 * MIB

#: HEAD limits: nginx, Apache and most CDNs refuse more; and a HEAD always fits one 64 KiB frame.
MAX_HEADERS = 128
MAX_HEADER_SIZE = 16 * KIB
MAX_HEAD_SIZE = 48 * KIB
MIN_STATUS = 200
MAX_STATUS = 599

#: Texts for logs, in characters.
MAX_MESSAGE = 256
#: The de-facto limit of URLs.
MAX_URL = 2048
#: A token is a few hundred characters; it must fit ClientContext (3,583 bytes) with the envelope.
MAX_TOKEN = 2048
MAX_URLS = 4
#: As long as a function may run: a probe can watch a connection for no longer.
MAX_PROBE_MS = 900_000

#: A quiet stream acknowledges this many seconds after its last WINDOW; a busy one by bytes. Nobody waits for it:
#: the sender keeps less than half a window for longer. It wakes both ends, of many streams often at one time.
ACK_DELAY = 5.0
#: A reader that consumes half a window in so many seconds is held up by the window: it may double.
#: A tenth of a second is the longest round trip worth filling (Lambda and gateway on two continents).
GROW_WITHIN = 0.1
#: WINDOWs of so many seconds apart are too many: each costs either side some 30 us, and two wake-ups.
CROWDED = 0.005
#: A sender that stands at its limit is told about this much new room at once.
SMALL_CREDIT = KIB
#: Broken rules by the peer that one exchange survives is one less than this.
MAX_PROTOCOL_ERRORS = 3
#: Seconds from the upgrade to the first ATTACH.
ATTACH_DEADLINE = 5.0
#: Seconds that a connection which was sent away outlives its stream: its function closes it at once,
#: unless it is frozen.
GOAWAY_IDLE = 1.0
#: Refused ATTACHes per second and connection. Accepted ones are not limited: a warm function sends one
#: for each invocation, up to some thousand a second.
MAX_REFUSAL_RATE = 20
#: Those for an exchange that is over, per second and connection. Where a callback stalls, the receipts of small
#: responses come first, one for each invocation, and all their ATTACHes behind them at once.
MAX_LATE_RATE = 1000
#: RESETs that end nothing, per ten seconds and connection. One for each accepted ATTACH is no flood: a
#: warm function whose clients leave answers a CANCEL as often as it is invoked.
MAX_RESET_RATE = 50
#: ATTACHes with a bad token that a connection survives is one less than this.
MAX_BAD_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gateway imposes on a connection; it travels in every ATTACHED.

    Attributes:
        max_frame: largest DATA payload in bytes, 4 KiB to 1 MiB.
        ping_ms: silence, in milliseconds, after which a PING asks whether the peer lives.
        dead_ms: further silence after which it is taken for dead.
        park_ttl_ms: how long a parked connection is kept (under the 350 s idle timeout of AWS NAT
            gateways and network load balancers).
        resume_grace_ms: how long the gateway waits for a lost stream to come back.
    """

    max_frame: int = DEFAULT_MAX_FRAME
    ping_ms: int = 10_000
    dead_ms: int = 10_000
    park_ttl_ms: int = 300_000
    resume_grace_ms: int = 30_000

    def __post_init__(self) -> None:
        """Refuse a frame size outside its range.

        Raises:
            LocalProtocolError: `max_frame` is not 4 KiB to 1 MiB.
        """
        if not MIN_MAX_FRAME <= self.max_frame <= MAX_MAX_FRAME:
            raise LocalProtocolError(
                f"max_frame: {self.max_frame} is not {MIN_MAX_FRAME} to {MAX_MAX_FRAME}"
            )

    def to_wire(self) -> tuple[int, ...]:
        """Return the numbers in the order in which ATTACHED carries them."""
        return (
            self.max_frame,
            self.ping_ms,
            self.dead_ms,
            self.park_ttl_ms,
            self.resume_grace_ms,
        )

    @property
    def max_message(self) -> int:
        """Largest WebSocket message in bytes, for `max_size` of the library in use."""
        return max_message(self.max_frame)


def max_message(max_frame: int) -> int:
    """Return the largest legal message for a frame size: a HEAD fits even when frames are small."""
    return max(max_frame, DEFAULT_MAX_FRAME) + MESSAGE_OVERHEAD


def choose_subprotocol(offered: Iterable[str]) -> str | None:
    """Return the best subprotocol that both sides speak, or None (answer HTTP 400, name ours)."""
    theirs = set(offered)
    return next((ours for ours in SUBPROTOCOLS if ours in theirs), None)


def shorten(message: str) -> str:
    """Cut a text to the length that a peer accepts, and that a log can bear."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."
