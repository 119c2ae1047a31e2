"""Calls one function by its Function URL: an ordinary HTTP request, with the envelope in a header.

AWS itself makes the event, so what a Function URL does to a request happens here as ever. Whatever it
answers is taken for the function's answer: no header of it proves that nothing ran, since the function
could have written it. Only a refused signature is told apart: that one is ours to mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
from multidict import CIMultiDict

from gateway.errors import FunctionFailed, FunctionUnreachable
from gateway.invoke.aws.address import target_of
from gateway.invoke.aws.answer import describe
from gateway.invoke.base import InvokeResult
from gateway.invoke.result import BufferedResponse
from protocol.envelope import KEY
from protocol.headers import HeadError, check_head

if TYPE_CHECKING:
    from gateway.invoke.aws.account import Account
    from gateway.invoke.aws.answer import Answer
    from gateway.invoke.aws.connection import Connection
    from gateway.invoke.aws.http import HttpClient
    from gateway.invoke.base import HttpCall, Invocation
    from gateway.targets import UrlTarget

ENVELOPE_HEADER = "x-dialback"

FORWARDED_AUTHORIZATION = "x-forwarded-authorization"
"""Where the client's own Authorization goes when the call is signed: there can be only one."""

# What the HTTP client writes itself, or what belongs to the gateway's own connection.
_NOT_PASSED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_JSON = "application/json"


class FunctionUrl:
    """One function behind a URL.

    Args:
        target: which, and whether calls are signed.
        region: whose signature, where they are.
        account: signs; None where the URL asks for no authentication.
        client: sends.
    """

    def __init__(
        self,
        target: UrlTarget,
        region: str,
        account: Account | None,
        client: HttpClient,
    ) -> None:
        self._base = target.url.rstrip("/")
        self._name = str(target)
        self._region = region
        self._account = account
        self._origin = client.origin(self._base)

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Call the function and wait for what it returns; see `gateway.invoke.base.Invoker`."""
        call = invocation.call
        if call is None:
            raise FunctionFailed(f"{self._name}: only HTTP requests can be sent to a URL")
        sent = await self._send(call, invocation)
        del call, invocation  # nobody asks for them again, and the call may last for minutes
        return self._result(await sent.answer())

    async def _send(self, call: HttpCall, invocation: Invocation) -> Connection:
        url = self._url(call)
        headers = await self._headers(call, url, invocation.client_context)
        return await self._origin.send(
            call.method, target_of(url), headers.items(), call.body, silence=invocation.timeout
        )

    def _result(self, answer: Answer) -> InvokeResult:
        if answer.status == 403 and "x-amzn-ErrorType" in answer.headers:
            raise FunctionUnreachable(describe(self._name, answer))
        request_id = answer.headers.get("x-amzn-RequestId", "")
        if _may_be_receipt(answer):
            return InvokeResult(answer.payload, None, request_id)
        return InvokeResult(b"", None, request_id, response=_response(answer))

    def _url(self, call: HttpCall) -> str:
        query = call.query
        if query and self._account is not None:
            # AWS signs the decoded query, encoded anew: what a browser left unescaped would not match.
            query = urlencode(parse_qsl(query, keep_blank_values=True), quote_via=quote)
        return self._base + call.path + (f"?{query}" if query else "")

    async def _headers(
        self, call: HttpCall, url: str, client_context: bytes | None
    ) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict()
        for name, value in call.headers:
            if name not in _NOT_PASSED:
                headers.add(name.decode("latin-1"), _text(value))
        _add_forwarded(headers, call)
        if client_context is not None:
            envelope = msgspec.json.decode(client_context)["custom"][KEY]
            headers[ENVELOPE_HEADER] = msgspec.json.encode(envelope).decode()
        if self._account is not None:
            theirs = headers.popone("authorization", None)
            if theirs is not None:
                headers[FORWARDED_AUTHORIZATION] = theirs
            signed = await self._account.sign(
                url, {}, call.body, region=self._region, method=call.method
            )
            headers.update(signed)
        return headers


def _add_forwarded(headers: CIMultiDict[str], call: HttpCall) -> None:
    """Say which host was asked: the URL sees only its own name. The rest the edge has said."""
    host = next((value for name, value in call.headers if name == b"host"), None)
    if host is not None:
        headers.setdefault("x-forwarded-host", _text(host))


def _may_be_receipt(answer: Answer) -> bool:
    """Tell whether this is a JSON value that the function returned, and `dialback` the key in it."""
    return (
        answer.status == 200
        and answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _JSON
        and answer.payload.lstrip()[:1] == b"{"
        and KEY.encode() in answer.payload[:64]
    )


def _response(answer: Answer) -> BufferedResponse:
    pairs = [(name.lower(), value) for name, value in answer.raw_headers]
    bodiless = not answer.payload
    kept = [pair for pair in pairs if pair[0] != b"content-length" or bodiless]
    try:
        return BufferedResponse(answer.status, check_head(answer.status, kept), answer.payload)
    except HeadError as error:
        raise FunctionFailed(f"the function's answer is no response: {error}") from error


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
