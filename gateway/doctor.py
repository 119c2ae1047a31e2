"""``dialback doctor``: looks, leg by leg, at what stands between this gateway and its functions.

The likeliest failure of a deployment is a function that cannot reach the gateway. Only the function can
tell, so it is asked: its library takes the probe (protocol SPEC section 10) and user code does not run.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.callback.endpoint import UNAUTHORIZED
from gateway.errors import GatewayError
from gateway.functions import Functions
from gateway.invoke.base import HttpCall, Invocation, InvokeOutcomeUnknown
from gateway.matching import sample
from gateway.targets import AwsTarget, UrlTarget
from gateway.tokens import Tokens
from protocol.envelope import KEY, Envelope
from protocol.errors import ProtocolError
from protocol.limits import DEFAULT_MAX_FRAME, INITIAL_WINDOW, MAX_URLS
from protocol.probe import parse_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.invoke.base import Invoker, InvokeResult
    from gateway.routes import Route, RouteTable
    from protocol.headers import HeaderList
    from protocol.probe import Step, UrlReport

PROBE_SECONDS = 60.0
"""How long a probe may take beyond its silence: a cold start, and five steps for each of four URLs."""

REACHED = (
    "reached the gateway; set gateway.token_keys to look further (it made a key that only it knows)"
)
"""What a refused token shows when there is no key that gateway and doctor could share."""

HINTS = {
    "credentials": "give the gateway a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID",
    "permission": "allow lambda:InvokeFunction on this function to the gateway's role",
    "function": "look into the function's own log",
    "dns": "callback_url must be a name that the function's network knows",
    "tcp": "open the callback port to the function: security groups, route tables, NAT; is the gateway up?",
    "tls": "the certificate must be valid for the name in callback_url, and its CA known to the function",
    "upgrade": "a 400 about TLS: write wss:// in callback_url; a 401: gateway and doctor need the same gateway.token_keys;"
    " a 404 or 400: something else answers there, or a proxy between does not pass WebSockets on",
    "attach": "a proxy between them passes the upgrade, and no WebSocket messages",
    "idle": "something between them cuts quiet connections: raise its idle timeout above 60 s",
}

TLS_HINTS = {
    "DIALBACK_CA_FILE": "put that file into the function's package or a layer; it holds PEM certificates",
    "issuer certificate": "name a PEM file with the CA's certificate in the function's DIALBACK_CA_FILE; a"
    " public CA needs the certificates between it and this one in gateway.callback_certificate",
    "self-signed": "name a PEM file with that certificate in the function's DIALBACK_CA_FILE",
    "self signed": "name a PEM file with that certificate in the function's DIALBACK_CA_FILE",
    "mismatch": "have the certificate issued for the name in callback_url, or write its name there",
    "expired": "renew it; the gateway reads the files again within seconds",
    "not yet valid": "compare the clocks of the CA, the gateway and the function",
    "WRONG_VERSION_NUMBER": "that port speaks no TLS: write ws:// in callback_url, or give the listener"
    " a certificate",
}
"""What to do about a TLS failure, by what its text contains."""

_HEADERS: HeaderList = ((b"user-agent", b"dialback-doctor"),)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        leg: what was looked at.
        ok: whether it works.
        text: what was found.
        ms: how long it took.
    """

    leg: str
    ok: bool
    text: str
    ms: int = 0


class Doctor:
    """Examines the functions of routes. Used on an event loop.

    Args:
        routes: whose functions.
        callback_urls: what they are told to dial, each.
        tokens: made from the running gateway's keys; None: it made its own, which nobody else knows.
        idle: seconds of silence that a connection should survive; 0 not to ask.
        say: prints one line.
    """

    def __init__(
        self,
        routes: RouteTable,
        callback_urls: Sequence[str],
        tokens: Tokens | None,
        idle: float,
        say: Callable[[str], None],
    ) -> None:
        self._functions = Functions(routes, reload=False)
        self._callback_urls = callback_urls
        self._tokens = tokens or Tokens([secrets.token_bytes(32)])
        self._keyed = tokens is not None
        self._idle = idle
        self._say = say

    async def examine(self, routes: list[Route], path: str | None = None) -> bool:
        """Report on each route; return whether all is well.

        Args:
            routes: those to look at.
            path: what functions without the library are asked for; None: the route's own, with the
                names of its variables for their values.
        """
        await self._functions.start()
        try:
            well = True
            for route in routes:
                well &= await self._examine(route, path or sample(route.path))
            return well
        finally:
            await self._functions.close()

    async def _examine(self, route: Route, path: str) -> bool:
        asked = "" if path == route.path else f", asked for {path}"
        self._say(f"route {route.label} -> {route.target}{asked}")
        invoker = self._functions.invokers[route.label]
        if isinstance(route.target, AwsTarget):
            found = await self._look_at_permission(invoker)
            if not self._tell("  ", found):
                return False
        well = True
        for begin in range(0, len(self._callback_urls), MAX_URLS):
            urls = self._callback_urls[begin : begin + MAX_URLS]
            well &= await self._ask(invoker, route, path, urls)
        return well

    async def _ask(self, invoker: Invoker, route: Route, path: str, urls: Sequence[str]) -> bool:
        envelope = self._envelope(route, urls)
        found, reports = await self._probe(invoker, route, path, envelope)
        well = self._tell("  ", found)
        for report in reports:
            self._say(f"  callback {report.url}, as the function sees it")
            for finding in self._findings(report):
                well &= self._tell("    ", finding)
        return well

    def _tell(self, indent: str, finding: Finding) -> bool:
        mark = "ok  " if finding.ok else "FAIL"
        self._say(f"{indent}{mark}  {finding.leg:<11} {finding.text} ({finding.ms} ms)")
        if not finding.ok:
            self._say(f"{indent}      try: {_hint(finding)}")
        return finding.ok

    # ------------------------------------------------------------ the legs

    async def _look_at_permission(self, invoker: Invoker) -> Finding:
        from gateway.invoke.aws.function import AwsFunction

        assert isinstance(invoker, AwsFunction)  # noqa: S101 - its target says so
        begun = time.monotonic()
        try:
            await invoker.check()
        except GatewayError as error:
            leg = "credentials" if "credentials" in str(error) else "permission"
            return Finding(leg, ok=False, text=str(error), ms=_since(begun))
        except InvokeOutcomeUnknown as error:
            return Finding("permission", ok=False, text=str(error), ms=_since(begun))
        return Finding("permission", ok=True, text="may be invoked (dry run)", ms=_since(begun))

    async def _probe(
        self, invoker: Invoker, route: Route, path: str, envelope: Envelope
    ) -> tuple[Finding, list[UrlReport]]:
        begun = time.monotonic()
        invocation = Invocation(
            event=_event(path, envelope),
            client_context=msgspec.json.encode({"custom": {KEY: envelope.to_json()}}),
            timeout=PROBE_SECONDS + self._idle,
            call=HttpCall("OPTIONS", path, "", _HEADERS, b""),
        )
        try:
            result = await invoker.invoke(invocation)
            reports = _read(result, envelope)
        except (GatewayError, InvokeOutcomeUnknown, ProtocolError) as error:
            return Finding("function", ok=False, text=str(error), ms=_since(begun)), []
        if reports is None:
            text = "answers without lambda_client: it works, buffered; decorate it to stream"
            if isinstance(route.target, UrlTarget):
                text += ", and allow the callback URL in DIALBACK_ALLOWED_URLS of the function"
            return Finding("function", ok=True, text=text, ms=_since(begun)), []
        return Finding("function", ok=True, text="uses lambda_client", ms=_since(begun)), reports

    def _findings(self, report: UrlReport) -> Iterator[Finding]:
        for step in report.steps:
            refused = (
                step.name == "upgrade" and "HTTP 401" in step.detail and UNAUTHORIZED in step.detail
            )
            if refused and not self._keyed:
                yield Finding(step.name, ok=True, text=REACHED, ms=step.ms)
            else:
                yield Finding(step.name, step.ok, _text(step), step.ms)

    def _envelope(self, route: Route, urls: Sequence[str]) -> Envelope:
        xid = secrets.token_bytes(16)
        lifetime = route.timeout + PROBE_SECONDS + self._idle
        return Envelope(
            xid=xid.hex(),
            inv=1,
            urls=tuple(urls),
            token=self._tokens.mint(xid, 1, now=time.time(), lifetime=lifetime),
            window=INITIAL_WINDOW,
            max_frame=DEFAULT_MAX_FRAME,
            probe_ms=round(self._idle * 1000),
        )


def _hint(finding: Finding) -> str:
    if finding.leg == "tls":
        for part, hint in TLS_HINTS.items():
            if part in finding.text:
                return hint
    return HINTS[finding.leg]


def _text(step: Step) -> str:
    return " ".join(step.detail.split())  # it came from the function: one line, whatever it holds


def _read(result: InvokeResult, envelope: Envelope) -> list[UrlReport] | None:
    if result.function_error is not None:
        raise ProtocolError(f"it failed: {result.payload[:300].decode(errors='replace')}")
    try:
        return parse_report(msgspec.json.decode(result.payload), envelope)
    except msgspec.DecodeError:
        return None


def _event(path: str, envelope: Envelope) -> bytes:
    """Write a request that an unaware function answers without doing anything, if any is such a one."""
    return msgspec.json.encode(
        {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"host": "doctor.invalid", "user-agent": "dialback-doctor"},
            "requestContext": {
                "http": {
                    "method": "OPTIONS",
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "dialback-doctor",
                },
                "requestId": envelope.xid,
                "routeKey": "$default",
                "stage": "$default",
            },
            "isBase64Encoded": False,
        }
    )


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
