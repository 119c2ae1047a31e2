"""Calls one function by the Invoke API, once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from gateway.errors import InvokeNotSent
from gateway.invoke.aws.address import invoke_url
from gateway.invoke.aws.answer import read_limited, refusal
from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult

if TYPE_CHECKING:
    from gateway.invoke.aws.account import Account
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
        session: sends (see `http.open_session`).
    """

    def __init__(
        self,
        target: AwsTarget,
        region: str,
        endpoint: str,
        account: Account,
        session: aiohttp.ClientSession,
    ) -> None:
        self._region = region
        self._url = invoke_url(target, endpoint)
        self._name = target.short_name
        self._account = account
        self._session = session

    async def check(self) -> None:
        """See whether the function could be called; it does not run (API reference, DryRun).

        Raises:
            GatewayError: it could not; the text is AWS's.
            InvokeOutcomeUnknown: the network failed.
        """
        event = b"{}"
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "DryRun"}
        signed = await self._account.sign(self._url, headers, event, region=self._region)
        await self._send(signed, event, CHECK_SECONDS, expected=204)

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Call the function and wait for what it returns; see `gateway.invoke.base.Invoker`."""
        headers = await self._account.sign(
            self._url, _headers(invocation), invocation.event, region=self._region
        )
        return await self._send(headers, invocation.event, invocation.timeout)

    async def _send(
        self, headers: dict[str, str], event: bytes, seconds: float, *, expected: int = 200
    ) -> InvokeResult:
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._session.timeout.connect, sock_read=seconds
        )
        try:
            return await self._post(headers, event, timeout, expected)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise InvokeNotSent(f"the Invoke API was not reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InvokeOutcomeUnknown(f"the invoke leg broke: {error!r}") from error

    async def _post(
        self, headers: dict[str, str], event: bytes, timeout: aiohttp.ClientTimeout, expected: int
    ) -> InvokeResult:
        # The URL is signed as it stands: yarl must not write it anew.
        url = URL(self._url, encoded=True)
        async with self._session.post(
            url, data=event, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            payload = await read_limited(answer)
            if answer.status != expected:
                raise refusal(self._name, answer, payload)
            return InvokeResult(
                payload=payload,
                function_error=answer.headers.get("X-Amz-Function-Error"),
                request_id=answer.headers.get("x-amzn-RequestId", ""),
            )


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
    if invocation.client_context is not None:
        headers[_CONTEXT_HEADER] = base64.b64encode(invocation.client_context).decode()
    if invocation.trace_id is not None:
        headers["X-Amzn-Trace-Id"] = invocation.trace_id
    return headers
