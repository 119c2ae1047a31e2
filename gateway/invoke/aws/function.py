"""Calls one function by the Invoke API, once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from gateway.invoke.aws.address import invoke_url, target_of
from gateway.invoke.aws.answer import refusal
from gateway.invoke.base import InvokeResult

if TYPE_CHECKING:
    from gateway.invoke.aws.account import Account
    from gateway.invoke.aws.answer import Answer
    from gateway.invoke.aws.connection import Connection
    from gateway.invoke.aws.http import HttpClient
    from gateway.invoke.base import Invocation
    from gateway.targets import AwsTarget

CHECK_SECONDS = 10.0
"""How long a dry run may take: nothing is started for it."""

_CONTEXT_HEADER = "X-Amz-Client-Context"


class AwsFunction:
    """One function of an account.

    Args:
        target: which.
        region: where it is.
        endpoint: URL of the Lambda API there.
        account: signs.
        client: sends.
    """

    def __init__(
        self,
        target: AwsTarget,
        region: str,
        endpoint: str,
        account: Account,
        client: HttpClient,
    ) -> None:
        self._region = region
        self._url = invoke_url(target, endpoint)
        self._name = target.short_name
        self._account = account
        self._api = client.origin(self._url)
        self._target = target_of(self._url)

    async def check(self) -> None:
        """See whether the function could be called; it does not run (API reference, DryRun).

        Raises:
            GatewayError: it could not; the text is AWS's.
            InvokeOutcomeUnknown: the network failed.
        """
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "DryRun"}
        sent = await self._send(headers, b"{}", CHECK_SECONDS)
        self._check_status(await sent.answer(), 204)

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Call the function and wait for what it returns; see `gateway.invoke.base.Invoker`."""
        sent = await self._send(_headers(invocation), invocation.event, invocation.timeout)
        del invocation  # nobody asks for it again, and the call may last for minutes
        answer = await sent.answer()
        self._check_status(answer, 200)
        return InvokeResult(
            payload=answer.payload,
            function_error=answer.headers.get("X-Amz-Function-Error"),
            request_id=answer.headers.get("x-amzn-RequestId", ""),
        )

    async def _send(self, headers: dict[str, str], event: bytes, seconds: float) -> Connection:
        signed = await self._account.sign(self._url, headers, event, region=self._region)
        return await self._api.send("POST", self._target, signed.items(), event, silence=seconds)

    def _check_status(self, answer: Answer, expected: int) -> None:
        if answer.status != expected:
            raise refusal(self._name, answer)


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
    if invocation.client_context is not None:
        headers[_CONTEXT_HEADER] = base64.b64encode(invocation.client_context).decode()
    if invocation.trace_id is not None:
        headers["X-Amzn-Trace-Id"] = invocation.trace_id
    return headers
