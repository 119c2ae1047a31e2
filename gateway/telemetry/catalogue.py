"""Every metric of the gateway: its name, what it means, and what to do about it.

Names follow Prometheus' conventions: base units, ``_total`` for what only grows. Labels have few values,
and all are known before the first request: routes come from the configuration, the rest is listed here.
So that the numbers of several processes may be added up, no gauge is an average or a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["counter", "gauge", "histogram"]

STATES: Final = ("received", "invoking", "streaming", "detached", "flushing")
OUTCOMES: Final = ("completed", "failed", "cancelled")
INVOKE_RESULTS: Final = (
    "answer",
    "receipt",
    "unknown",
    "function_failed",
    "timed_out",
    "unreachable",
    "throttled",
    "not_sent",
    "body_too_large",
)
CALLBACK_STATES: Final = ("active", "parked", "unattached")
ATTACH_RESULTS: Final = ("accepted", "rejected", "unauthorized", "overloaded")
BREAKER_STATES: Final = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus shows it, with ``_total`` if it is a counter.
        kind: what it is.
        help: what it means, in a sentence without its full stop.
        labels: what tells its series apart.
        advice: what to do when.
        values: the values that a label has from the beginning.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    advice: str
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


EXCHANGES: Final = Metric(
    "dialback_exchanges_total",
    "counter",
    "Requests of a route that ended, by how and why",
    ("route", "outcome", "reason"),
    "The share of `failed` is what users notice. Look at its reasons below, then at the log lines with the same "
    "`reason`. `completed` has `streamed` or `inline`: a route that should stream and grows by `inline` "
    "alone answers so quickly that no callback is needed, or its function lacks the library.",
)
UNDER_WAY: Final = Metric(
    "dialback_exchanges_active",
    "gauge",
    "Requests that are being served, by state",
    ("route", "state"),
    "Scale on the sum. Many `received`: the queue; many `invoking`: cold or silent functions; `detached`: "
    "callbacks are being cut, see the resumes; `flushing`: clients read slowly. At rest all are 0.",
    {"state": STATES},
)
TTFB: Final = Metric(
    "dialback_ttfb_seconds",
    "histogram",
    "From the request's head to the response's head",
    ("route",),
    "Compare with `dialback_attach_seconds`: what lies behind that is the function's own thinking.",
)
DURATION: Final = Metric(
    "dialback_exchange_duration_seconds",
    "histogram",
    "From the request's head to the end of the response, whatever end",
    ("route",),
    "When it comes near the route's `timeout`, raise that, or let the function end earlier.",
)
RESPONSE_BYTES: Final = Metric(
    "dialback_response_bytes_total",
    "counter",
    "Body bytes of functions' responses that were handed to clients' connections",
    ("route",),
    "Watch it against the bandwidth of the machine.",
)
REQUEST_BYTES: Final = Metric(
    "dialback_request_bytes_total",
    "counter",
    "Body bytes of requests that were taken for functions",
    ("route",),
    "As above; bodies that were refused are not in it.",
)
DATA_FRAMES: Final = Metric(
    "dialback_data_frames_total",
    "counter",
    "Messages with new response bytes that came over callbacks",
    ("route",),
    "Few bytes for each (`dialback_response_bytes_total` divided by this) cost the most CPU: let the function "
    "write larger pieces.",
)
EDGE_WRITES: Final = Metric(
    "dialback_edge_writes_total",
    "counter",
    "Writes that carried response bytes to clients' connections",
    ("route",),
    "Messages that wait together leave together: much fewer writes than messages means a busy gateway.",
)
ATTACH: Final = Metric(
    "dialback_attach_seconds",
    "histogram",
    "From the call of the function until its callback was there",
    ("route",),
    "Milliseconds for a warm function, its cold start otherwise. Seconds all the time: the callback address is "
    "slow to reach; run `dialback doctor`.",
)
RESUME: Final = Metric(
    "dialback_resume_seconds",
    "histogram",
    "From the loss of a callback until it was back; 0 if the new one came first",
    ("route",),
    "A few are a load balancer's or a NAT's doing. Many: its idle timeout is below `ping`, or it is being "
    "deployed. Those that never came back are exchanges with reason `resume_expired`.",
)
CANCELS: Final = Metric(
    "dialback_cancels_total",
    "counter",
    "Functions that were told to stop, by what ended the exchange before them",
    ("route", "reason"),
    "`client_gone` is users who leave. Timeouts and drains are yours.",
)
CANCEL_IGNORED: Final = Metric(
    "dialback_cancel_ignored_seconds_total",
    "counter",
    "Seconds that functions ran on, of those that ran on longer than `cancel_grace` after they were told to stop",
    ("route",),
    "They are billed for nobody. Let the function check `cancelled()`, or let it not swallow the exception.",
)
INVOKES: Final = Metric(
    "dialback_invokes_total",
    "counter",
    "Calls of functions that came to an end, repeated ones included, by result",
    ("route", "result"),
    "`throttled`: raise the function's concurrency, or lower the route's. `not_sent`: no connection to Lambda. "
    "`unreachable`: permissions, or no such function. `function_failed`: the function's own log.",
    {"result": INVOKE_RESULTS},
)
BREAKER: Final = Metric(
    "dialback_breakers",
    "gauge",
    "Breakers of the route by state: one of each process",
    ("route", "state"),
    "`open`: the function is called, and never reaches this gateway, so it is not called for a while. "
    "Run `dialback doctor`.",
    {"state": BREAKER_STATES},
)
BREAKER_OPENINGS: Final = Metric(
    "dialback_breaker_openings_total",
    "counter",
    "How often calls stopped going out",
    ("route",),
    "Growing without end: nobody has mended the way from the function to `callback_url`.",
)
QUEUE_DEPTH: Final = Metric(
    "dialback_queue_depth",
    "gauge",
    "Requests that wait for one of the route's places",
    ("route",),
    "Above 0 for long: raise the route's `concurrency`, if the function's allows it.",
)
QUEUE_WAIT: Final = Metric(
    "dialback_queue_wait_seconds",
    "histogram",
    "How long requests waited for a place, of those that got one",
    ("route",),
    "Users wait so long before anything happens.",
)
EDGE_REFUSALS: Final = Metric(
    "dialback_edge_refusals_total",
    "counter",
    "Requests that were answered before they belonged to a route, by HTTP status",
    ("status",),
    "404 and 405: a route is missing, or somebody is looking around. 400, 414, 431: not for us. 503: draining.",
)
PREFLIGHTS: Final = Metric(
    "dialback_preflights_total",
    "counter",
    "CORS preflights that were answered without a function",
    (),
    "Many for each request: raise the route's `max_age`.",
)
ATTACHES: Final = Metric(
    "dialback_attaches_total",
    "counter",
    "Answers to functions that wanted to attach",
    ("result",),
    "`unauthorized`: strangers, or gateways that do not share their token keys. `rejected`: latecomers; many: "
    "functions that come to the wrong gateway. `overloaded`: a fleet comes back at once.",
    {"result": ATTACH_RESULTS},
)
CALLBACKS: Final = Metric(
    "dialback_callbacks",
    "gauge",
    "Callback connections: carrying a stream, parked between two, not yet attached",
    ("state",),
    "`active` follows the streams. Many `unattached` for long: somebody opens sockets and says nothing.",
    {"state": CALLBACK_STATES},
)
MEMORY_HELD: Final = Metric(
    "dialback_memory_held_bytes",
    "gauge",
    "Body bytes that are held, of all exchanges",
    (),
    "Near the budget: slow clients of large responses, or large uploads. Raise `memory_budget`, or add gateways.",
)
MEMORY_BUDGET: Final = Metric(
    "dialback_memory_budget_bytes",
    "gauge",
    "Held bytes beyond which no exchange begins",
    (),
    "It is the setting `memory_budget`.",
)
MEMORY_REFUSALS: Final = Metric(
    "dialback_memory_refusals_total",
    "counter",
    "Exchanges that were refused because of the budget",
    (),
    "Any at all: see above.",
)
TASKS: Final = Metric(
    "dialback_tasks",
    "gauge",
    "Tasks of the event loop",
    (),
    "It follows connections. Growing while they do not: a bug; please report it.",
)
LINES_DROPPED: Final = Metric(
    "dialback_log_lines_dropped_total",
    "counter",
    "Log lines that were lost because whoever reads stderr was too slow",
    (),
    "Streams never wait for the log. Mend the log collector, or raise `log_level`.",
)
BUILD: Final = Metric(
    "dialback_build_info",
    "gauge",
    "1; what is running is in the labels",
    ("version", "python"),
    "Count it by `version` during a deployment.",
)

SERVING: Final = Metric(
    "dialback_serving",
    "gauge",
    "1 if the worker answers, 0 while it is being started or is stuck",
    ("worker",),
    "0 for long: look into the log. The other workers serve on. Only a gateway with several workers has it.",
)
STARTS: Final = Metric(
    "dialback_starts_total",
    "counter",
    "Times that the worker was started",
    ("worker",),
    "More than 1: it died; the log says how. What it had counted is lost. As above.",
)

METRICS: Final = (
    EXCHANGES,
    UNDER_WAY,
    TTFB,
    DURATION,
    RESPONSE_BYTES,
    REQUEST_BYTES,
    DATA_FRAMES,
    EDGE_WRITES,
    ATTACH,
    RESUME,
    CANCELS,
    CANCEL_IGNORED,
    INVOKES,
    BREAKER,
    BREAKER_OPENINGS,
    QUEUE_DEPTH,
    QUEUE_WAIT,
    EDGE_REFUSALS,
    PREFLIGHTS,
    ATTACHES,
    CALLBACKS,
    MEMORY_HELD,
    MEMORY_BUDGET,
    MEMORY_REFUSALS,
    TASKS,
    LINES_DROPPED,
    BUILD,
)
"""Those of every process, in the order of the reference."""

OF_WORKERS: Final = (SERVING, STARTS)
"""What the supervisor of several workers adds to what each of them shows."""
