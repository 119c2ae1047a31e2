"""The Invoke API over HTTP: what any AWS SDK sends to Lambda, for the emulated functions.

After AWS's API reference, "Invoke" (version 2015-03-31). Signatures are not checked: this listens
where only the developer can reach it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from gateway.errors import GatewayError, RequestBodyTooLarge, Throttled
from gateway.invoke.base import Invocation, InvokeOutcomeUnknown, InvokeResult
from gateway.invoke.local.limits import ASYNC_REQUEST_MAX, CLIENT_CONTEXT_MAX, REQUEST_MAX
from gateway.invoke.local.spec import ACCOUNT, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.invoke.local.function import LocalFunction

_logger = logging.getLogger(__name__)

INVOKE_PATH: Final = "/2015-03-31/functions/{name}/invocations"
# API reference, FunctionName: a name, a partial ARN (account:function:name) or a full one, each
# with or without a qualifier.
_FUNCTION_NAME: Final = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:)?(?:\d{12}:)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)
_VERSION: Final = "$LATEST"
# Queued asynchronous invocations, beyond which the API says 429.
_EVENTS_MAX: Final = 1000


@dataclass(eq=False)
class _Refusal(Exception):
    status: int
    error_type: str
    message: str
    reason: str | None = None

    def response(self, request_id: str) -> web.Response:
        body = {"Type": "User", "Message": self.message, "message": self.message}
        if self.reason is not None:
            body["Reason"] = self.reason
        headers = {"x-amzn-ErrorType": self.error_type, "x-amzn-RequestId": request_id}
        return web.json_response(body, status=self.status, headers=headers)


class InvokeApi:
    """Answers ``POST /2015-03-31/functions/{name}/invocations``."""

    def __init__(self, functions: Mapping[str, LocalFunction]) -> None:
        """Serve `functions`, by name."""
        self._functions = functions
        self._events: set[asyncio.Task[None]] = set()
        self._slots = {
            name: asyncio.Semaphore(function.spec.concurrency)
            for name, function in functions.items()
        }

    def application(self) -> web.Application:
        """Return a web application with this one route.

        Run it with ``handler_cancellation=True`` or not: an invocation goes on without its caller.
        """
        app = web.Application(client_max_size=REQUEST_MAX + 1)
        app.router.add_post(INVOKE_PATH, self.handle)
        return app

    async def aclose(self) -> None:
        """Give up the asynchronous invocations that still wait or run."""
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            return await self._invoke(request)
        except _Refusal as refusal:
            return refusal.response(str(uuid.uuid4()))

    async def _invoke(self, request: web.Request) -> web.Response:
        function = self._find(request.match_info["name"], request.query.get("Qualifier"))
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind not in ("RequestResponse", "Event", "DryRun"):
            raise _Refusal(400, "InvalidParameterValueException", f"unknown type {kind}")
        if kind == "DryRun":
            return _answer(204, str(uuid.uuid4()))
        invocation = Invocation(
            event=await _read_event(request, ASYNC_REQUEST_MAX if kind == "Event" else REQUEST_MAX),
            # "Lambda passes the ClientContext object to your function for synchronous
            # invocations only."
            client_context=None if kind == "Event" else _client_context(request),
            timeout=function.spec.timeout * 2 + 10,
            trace_id=request.headers.get("X-Amzn-Trace-Id"),
        )
        if kind == "Event":
            return self._start_event(function, invocation)
        want_log = request.headers.get("X-Amz-Log-Type") == "Tail"
        return await _run(function, invocation, want_log=want_log)

    def _find(self, text: str, qualifier: str | None) -> LocalFunction:
        match = _FUNCTION_NAME.fullmatch(text)
        if match is None:
            raise _Refusal(400, "ValidationException", f"{text!r} is no function name")
        name, version = match["name"], qualifier or match["qualifier"]
        function = self._functions.get(name)
        if function is None:
            arn = f"arn:aws:lambda:{DEFAULT_REGION}:{ACCOUNT}:function:{name}"
            arn += f":{version}" if version else ""
            raise _Refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")
        return function

    def _start_event(self, function: LocalFunction, invocation: Invocation) -> web.Response:
        if len(self._events) >= _EVENTS_MAX:
            raise _throttled()
        task = asyncio.create_task(self._run_event(function, invocation))
        self._events.add(task)
        task.add_done_callback(self._events.discard)
        return _answer(202, str(uuid.uuid4()))

    async def _run_event(self, function: LocalFunction, invocation: Invocation) -> None:
        async with self._slots[function.spec.name]:
            try:
                await function.invoke(invocation)
            except (GatewayError, InvokeOutcomeUnknown) as error:
                _logger.warning("an asynchronous invocation was lost: %s", error)


async def _run(function: LocalFunction, invocation: Invocation, *, want_log: bool) -> web.Response:
    log = b""
    try:
        if want_log:
            result, log = await function.invoke_with_log(invocation)
        else:
            result = await function.invoke(invocation)
    except RequestBodyTooLarge:
        raise _too_large(REQUEST_MAX) from None
    except Throttled:
        raise _throttled() from None
    except (GatewayError, InvokeOutcomeUnknown) as error:
        raise _Refusal(500, "ServiceException", str(error)) from None
    return _result_answer(result, log)


def _result_answer(result: InvokeResult, log: bytes) -> web.Response:
    response = _answer(200, result.request_id, result.payload)
    response.headers["X-Amz-Executed-Version"] = _VERSION
    if result.function_error is not None:
        response.headers["X-Amz-Function-Error"] = result.function_error
    if log:
        response.headers["X-Amz-Log-Result"] = base64.b64encode(log).decode()
    return response


def _answer(status: int, request_id: str, body: bytes = b"") -> web.Response:
    headers = {"x-amzn-RequestId": request_id}
    if status == 200:
        headers["Content-Type"] = "application/json"
    return web.Response(status=status, body=body, headers=headers)


async def _read_event(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        event = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    if len(event) > limit:
        raise _too_large(limit)
    if not event:
        return b"{}"
    try:
        json.loads(event)
    except ValueError as error:
        raise _Refusal(
            400,
            "InvalidRequestContentException",
            f"Could not parse request body into json: {error}",
        ) from None
    return event


def _client_context(request: web.Request) -> bytes | None:
    encoded = request.headers.get("X-Amz-Client-Context")
    if not encoded:
        return None
    if len(encoded) > CLIENT_CONTEXT_MAX:
        raise _Refusal(
            400,
            "InvalidRequestContentException",
            f"Client context must be no more than {CLIENT_CONTEXT_MAX} bytes.",
        )
    try:
        context = base64.b64decode(encoded, validate=True)
        if not isinstance(json.loads(context), dict):
            raise ValueError("not an object")
    except (binascii.Error, ValueError):
        raise _Refusal(
            400,
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        ) from None
    return context


def _too_large(limit: int) -> _Refusal:
    return _Refusal(
        413,
        "RequestTooLargeException",
        f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
    )


def _throttled() -> _Refusal:
    return _Refusal(
        429,
        "TooManyRequestsException",
        "Rate Exceeded.",
        "ReservedFunctionConcurrentInvocationLimitExceeded",
    )
