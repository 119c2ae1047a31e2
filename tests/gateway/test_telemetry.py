from __future__ import annotations

from gateway.journal.budget import MemoryBudget
from gateway.telemetry import Telemetry


def lines(telemetry: Telemetry) -> list[str]:
    text = telemetry.render().decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_number_has_its_name_and_labels() -> None:
    telemetry = Telemetry()
    route = telemetry.route("/chat")
    route.begin()
    route.begin()
    route.end("completed")
    route.wrote(100)
    route.wrote(20)
    route.first_byte(0.003)
    route.invoke("answer")
    route.queue_depth += 2
    route.data_frames += 5
    route.cancels["client_gone"] += 3
    route.cancel_ignored_seconds += 2.5
    route.breaker_state, route.breaker_openings = 2, 1
    telemetry.attach("accepted")
    telemetry.refused(404)
    telemetry.watch_callbacks("open", lambda: 4)
    telemetry.watch_tasks(lambda: 9)
    budget = MemoryBudget(1000)
    budget.held = 1000
    budget.admit()
    telemetry.watch_memory(budget)
    assert {
        'dialback_exchanges_total{outcome="completed",route="/chat"} 1.0',
        'dialback_exchanges_active{route="/chat"} 1.0',
        'dialback_response_bytes_total{route="/chat"} 120.0',
        'dialback_edge_writes_total{route="/chat"} 2.0',
        'dialback_data_frames_total{route="/chat"} 5.0',
        'dialback_invokes_total{result="answer",route="/chat"} 1.0',
        'dialback_queue_depth{route="/chat"} 2.0',
        'dialback_cancels_total{reason="client_gone",route="/chat"} 3.0',
        'dialback_cancel_ignored_seconds_total{route="/chat"} 2.5',
        'dialback_breaker_state{route="/chat"} 2.0',
        'dialback_breaker_openings_total{route="/chat"} 1.0',
        'dialback_attaches_total{result="accepted"} 1.0',
        'dialback_edge_refusals_total{status="404"} 1.0',
        'dialback_callbacks{state="open"} 4.0',
        "dialback_tasks 9.0",
        "dialback_memory_held_bytes 1000.0",
        "dialback_memory_budget_bytes 1000.0",
        "dialback_memory_refusals_total 1.0",
        'dialback_ttfb_seconds_bucket{le="0.0025",route="/chat"} 0.0',
        'dialback_ttfb_seconds_bucket{le="0.005",route="/chat"} 1.0',
        'dialback_ttfb_seconds_count{route="/chat"} 1.0',
    } <= set(lines(telemetry))


def test_a_route_keeps_its_numbers() -> None:
    telemetry = Telemetry()
    assert telemetry.route("/") is telemetry.route("/")
    assert telemetry.route("/") is not telemetry.route("/other")


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.attach("accepted")
    assert 'dialback_attaches_total{result="accepted"} 1.0' not in lines(other)


def test_strange_routes_are_escaped() -> None:
    telemetry = Telemetry()
    telemetry.route('/"\\').wrote(1)
    assert 'dialback_edge_writes_total{route="/\\"\\\\"} 1.0' in lines(telemetry)
