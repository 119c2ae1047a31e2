from __future__ import annotations

from dataclasses import dataclass

from gateway.exchange.states import State
from gateway.journal.budget import MemoryBudget
from gateway.telemetry import Telemetry
from gateway.telemetry.histogram import Histogram


@dataclass
class Carried:
    route: str = "/chat"
    state: State = State.STREAMING
    body_bytes: int = 100
    edge_writes: int = 2
    data_frames: int = 5
    request_bytes: int = 7


def lines(telemetry: Telemetry) -> list[str]:
    text = telemetry.render().decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def counted() -> Telemetry:
    """Something of everything."""
    telemetry = Telemetry()
    route = telemetry.route("/chat")
    telemetry.under_way = [Carried(), Carried(state=State.INVOKING), Carried(route="/other")]
    route.end("completed", "streamed", 0.3, Carried(body_bytes=20))
    route.ttfb.observe(0.003)
    route.attach.observe(0.002)
    route.resume.observe(0.02)
    route.queue_wait.observe(0.0)
    route.invokes["answer"] += 1
    route.queue_depth += 2
    route.cancels["client_gone"] += 3
    route.cancel_ignored_seconds += 2.5
    route.breaker_state, route.breaker_openings = 2, 1
    telemetry.attach("accepted")
    telemetry.refused(404)
    telemetry.preflights += 1
    telemetry.callbacks = {"active": lambda: 4}
    telemetry.tasks = lambda: 9
    telemetry.lines_dropped = lambda: 8
    telemetry.memory = budget = MemoryBudget(1000)
    budget.held = 1000
    budget.admit()
    return telemetry


COUNTED = {
    'dialback_exchanges_total{outcome="completed",reason="streamed",route="/chat"} 1.0',
    'dialback_exchanges_active{route="/chat",state="streaming"} 1.0',
    'dialback_exchanges_active{route="/chat",state="invoking"} 1.0',
    'dialback_exchanges_active{route="/chat",state="flushing"} 0.0',
    'dialback_response_bytes_total{route="/chat"} 220.0',
    'dialback_request_bytes_total{route="/chat"} 21.0',
    'dialback_edge_writes_total{route="/chat"} 6.0',
    'dialback_data_frames_total{route="/chat"} 15.0',
    'dialback_invokes_total{result="answer",route="/chat"} 1.0',
    'dialback_invokes_total{result="throttled",route="/chat"} 0.0',
    'dialback_queue_depth{route="/chat"} 2.0',
    'dialback_cancels_total{reason="client_gone",route="/chat"} 3.0',
    'dialback_cancel_ignored_seconds_total{route="/chat"} 2.5',
    'dialback_breakers{route="/chat",state="open"} 1.0',
    'dialback_breakers{route="/chat",state="closed"} 0.0',
    'dialback_breaker_openings_total{route="/chat"} 1.0',
    'dialback_attaches_total{result="accepted"} 1.0',
    'dialback_attaches_total{result="rejected"} 0.0',
    'dialback_edge_refusals_total{status="404"} 1.0',
    "dialback_preflights_total 1.0",
    'dialback_callbacks{state="active"} 4.0',
    "dialback_tasks 9.0",
    "dialback_log_lines_dropped_total 8.0",
    "dialback_memory_held_bytes 1000.0",
    "dialback_memory_budget_bytes 1000.0",
    "dialback_memory_refusals_total 1.0",
    'dialback_ttfb_seconds_bucket{le="0.0025",route="/chat"} 0.0',
    'dialback_ttfb_seconds_bucket{le="0.005",route="/chat"} 1.0',
    'dialback_ttfb_seconds_count{route="/chat"} 1.0',
    'dialback_attach_seconds_count{route="/chat"} 1.0',
    'dialback_resume_seconds_sum{route="/chat"} 0.02',
    'dialback_queue_wait_seconds_bucket{le="0.001",route="/chat"} 1.0',
    'dialback_exchange_duration_seconds_sum{route="/chat"} 0.3',
}


def test_every_number_has_its_name_and_labels() -> None:
    assert set(lines(counted())) >= COUNTED


def test_a_route_keeps_its_numbers() -> None:
    telemetry = Telemetry()
    assert telemetry.route("/") is telemetry.route("/")
    assert telemetry.route("/") is not telemetry.route("/other")


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.attach("accepted")
    assert 'dialback_attaches_total{result="accepted"} 0.0' in lines(other)


def test_strange_routes_are_escaped() -> None:
    telemetry = Telemetry()
    telemetry.route('/"\\').ended.edge_writes += 1
    assert 'dialback_edge_writes_total{route="/\\"\\\\"} 1.0' in lines(telemetry)


def test_a_value_on_a_bound_belongs_below_it() -> None:
    times = Histogram((0.5, 1, 2.5))
    for seconds in (0.1, 0.5, 0.51, 2.5, 99.0):
        times.observe(seconds)
    assert times.buckets() == [("0.5", 2.0), ("1.0", 3.0), ("2.5", 4.0), ("+Inf", 5.0)]
    assert (times.count, round(times.total, 2)) == (5, 102.61)
