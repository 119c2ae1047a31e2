"""An Invoke API that checks signatures, in front of the emulated Lambda or of a canned answer."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Middleware

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@dataclass
class Seen:
    """What came, as it stood on the wire."""

    paths: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


class _Replay(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs a request again with the date and the headers that its sender signed."""

    def __init__(self, credentials: Credentials, region: str, signed: list[str]) -> None:
        super().__init__(credentials, "lambda", region)
        self._signed = set(signed)

    def headers_to_sign(self, request: AWSRequest) -> object:
        found = super().headers_to_sign(request)
        for name in list(found.keys()):
            if name not in self._signed:
                del found[name]
        return found


def checking(seen: Seen, secret: str = SECRET, token: str | None = None) -> Middleware:
    """Return a middleware that answers 403, as AWS does, to what is not signed right."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.paths.append(request.raw_path)
        seen.tokens.append(request.headers.get("X-Amz-Security-Token"))
        body = await request.read()
        if not signature_holds(request, body, secret, token):
            headers = {"x-amzn-ErrorType": "InvalidSignatureException"}
            return web.json_response({"message": "The signature"}, status=403, headers=headers)
        return await handler(request)

    return check


def signature_holds(request: web.Request, body: bytes, secret: str, token: str | None) -> bool:
    parts = request.headers.get("Authorization", "").removeprefix("AWS4-HMAC-SHA256 ")
    fields = dict(part.strip().split("=", 1) for part in parts.split(",") if "=" in part)
    key, _, region, service, _ = fields.get("Credential", "////").split("/")
    if service != "lambda" or key != KEY or request.headers.get("X-Amz-Security-Token") != token:
        return False
    again = AWSRequest(
        method=request.method,
        url=f"http://{request.headers['Host']}{request.raw_path}",
        data=body,
        headers=dict(request.headers.items()),
    )
    again.context["timestamp"] = request.headers["X-Amz-Date"]
    signer = _Replay(Credentials(key, secret), region, fields["SignedHeaders"].split(";"))
    to_sign = signer.string_to_sign(again, signer.canonical_request(again))
    return hmac.compare_digest(signer.signature(to_sign, again), fields["Signature"])
