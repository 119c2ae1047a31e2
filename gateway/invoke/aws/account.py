"""Whose calls they are: credentials and endpoints, as botocore finds them.

botocore's chain is used whole: environment, profile, container, web identity, instance. It blocks
(files, the metadata service, STS), so everything but a look at what is in memory runs in a thread.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from gateway.errors import ConfigError, FunctionUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = "lambda"

REFRESH_AHEAD = 15 * 60
"""Seconds before they expire that credentials are renewed beside the calls (botocore's own rule)."""

REFRESH_NOW = 5 * 60
"""Seconds before they expire that a call waits for new ones: a signature is valid for five minutes
(AWS General Reference, Signature Version 4), and a clock may be late."""


class Account:
    """The AWS account whose functions are called; one for the process.

    Args:
        session: botocore's; by default one that reads the environment.
    """

    def __init__(self, session: Session | None = None) -> None:
        self._session = session or Session()
        # botocore has no types. Frozen apart: asked on the loop, the others may renew, and block.
        self._credentials: Any = None
        self._frozen: Any = None
        self._renewal: asyncio.Task[None] | None = None

    def endpoint(self, region: str | None) -> tuple[str, str]:
        """Return the region that is meant, and its Lambda API's URL; reads botocore's files.

        Raises:
            ConfigError: no region is given anywhere, or it is none.
        """
        # botocore itself knows AWS_DEFAULT_REGION only; containers and functions are told AWS_REGION.
        region = region or os.environ.get("AWS_REGION")
        region = region or self._session.get_config_variable("region")
        if not region:
            raise ConfigError(
                "no AWS region: name the function by its ARN, set `region` beside its target, or"
                " AWS_REGION in the environment"
            )
        try:
            # The whole client, for the one thing that it knows: partitions, FIPS and dual-stack
            # names, AWS_ENDPOINT_URL. The keys are given so that it does not look for any.
            client = self._session.create_client(
                SERVICE,
                region_name=region,
                aws_access_key_id="-",
                aws_secret_access_key="-",  # noqa: S106 - no key, and nothing is signed with it
            )
        except BotoCoreError as error:
            raise ConfigError(f"AWS region {region!r}: {error}") from error
        endpoint: str = client.meta.endpoint_url
        client.close()
        return region, endpoint

    async def sign(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        region: str,
        method: str = "POST",
    ) -> dict[str, str]:
        """Return the headers of a request with a Signature Version 4 among them.

        Raises:
            FunctionUnreachable: there are no credentials, or they could not be renewed.
        """
        credentials = await self._usable_credentials()
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        SigV4Auth(credentials, SERVICE, region).add_auth(request)
        return dict(request.headers)

    async def close(self) -> None:
        """End a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def _usable_credentials(self) -> Any:
        if self._frozen is None or self._expires_within(REFRESH_NOW):
            await asyncio.shield(self._renew())
        elif self._expires_within(REFRESH_AHEAD):
            _ = self._renew()
        return self._frozen

    def _expires_within(self, seconds: float) -> bool:
        # Only what expires (RefreshableCredentials) has the question.
        ask = getattr(self._credentials, "refresh_needed", None)
        return ask is not None and bool(ask(seconds))

    def _renew(self) -> asyncio.Task[None]:
        """Return the renewal that is under way, begun if there is none."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._find())
            self._renewal.add_done_callback(_look)
        return self._renewal

    async def _find(self) -> None:
        try:
            await asyncio.to_thread(self._find_blocking)
        except BotoCoreError as error:
            raise FunctionUnreachable(f"no AWS credentials: {error}") from error
        if self._frozen is None:
            raise FunctionUnreachable(
                "no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the gateway a role"
            )

    def _find_blocking(self) -> None:
        if region := os.environ.get("AWS_REGION"):
            # Else botocore asks the global STS, which other partitions and closed networks do not reach.
            self._session.set_config_variable("region", region)
        self._credentials = self._session.get_credentials()
        if self._credentials is not None:
            self._frozen = self._credentials.get_frozen_credentials()


def _look(task: asyncio.Task[None]) -> None:
    """Take note of how a renewal ended: beside the calls nobody else may."""
    if not task.cancelled():
        task.exception()
