"""gateway/telemetry: what the gateway counts, and how it is told."""

from gateway.telemetry.numbers import Telemetry
from gateway.telemetry.route import RouteTelemetry

__all__ = ["RouteTelemetry", "Telemetry"]
