"""Every function that the routes point to, each behind an invoker of its kind."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gateway.errors import ConfigError
from gateway.invoke.local.handler_check import check_handler
from gateway.invoke.local.spec import FunctionSpec
from gateway.targets import AwsTarget, LocalTarget, UrlTarget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.invoke.aws.account import Account
    from gateway.invoke.aws.http import HttpClient
    from gateway.invoke.base import Invoker
    from gateway.invoke.local.function import LocalFunction
    from gateway.routes import Route, RouteTable

log = logging.getLogger("dialback.app")

EMULATION = ("awslambdaric", "watchfiles")
"""What the emulated Lambda runs on: the extra `local`."""


class Functions:
    """The invokers of one gateway. Made on its event loop.

    Args:
        routes: whose functions.
        reload: run changed code of local ones at the next call.

    Attributes:
        invokers: by the route's path.
        local: those that the emulated Lambda runs, likewise.
    """

    def __init__(self, routes: RouteTable, *, reload: bool) -> None:
        """Make them; nothing is started.

        Raises:
            ConfigError: a function cannot be called from here.
        """
        self.local = {
            route.label: _emulated(_spec(route, target), reload=reload)
            for route in routes
            if isinstance(target := route.target, LocalTarget)
        }
        self._stack = AsyncExitStack()
        self.invokers: dict[str, Invoker] = {**self.local, **self._on_aws(routes)}

    async def start(self) -> None:
        """Start the local ones, and wait until each has a worker or has said why not."""
        problems = await asyncio.gather(*(one.start() for one in self.local.values()))
        for path, problem in zip(self.local, problems, strict=True):
            if problem is not None:
                log.error("the function of route %s cannot start: %s", path, problem)

    async def close(self) -> None:
        """End every process and every connection of theirs."""
        async with self._stack:
            for function in self.local.values():
                self._stack.push_async_callback(function.aclose)

    def _on_aws(self, routes: RouteTable) -> dict[str, Invoker]:
        targets = {
            route.label: target
            for route in routes
            if isinstance(target := route.target, AwsTarget | UrlTarget)
        }
        if not targets:
            return {}
        from gateway.invoke.aws.http import HttpClient

        account = _account()
        places = {path: _place(target, account) for path, target in targets.items()}
        client = HttpClient()
        self._stack.callback(client.close)
        self._stack.push_async_callback(account.close)
        return {
            path: _invoker(target, places[path], account, client)
            for path, target in targets.items()
        }


def _emulated(spec: FunctionSpec, *, reload: bool) -> LocalFunction:
    from gateway.invoke.local.function import LocalFunction  # wants an extra (`check_handlers`)

    return LocalFunction(spec, reload=reload)


def _account() -> Account:
    try:
        from gateway.invoke.aws.account import Account
    except ImportError as error:
        raise ConfigError(
            f"functions on AWS need botocore ({error}); install dialback[gateway,aws]"
        ) from error
    return Account()


def _place(target: AwsTarget | UrlTarget, account: Account) -> tuple[str, str]:
    """Return region and endpoint of a target; blocks."""
    if isinstance(target, UrlTarget) and not target.signed:
        return "", ""
    return account.endpoint(target.region)


def _invoker(
    target: AwsTarget | UrlTarget,
    place: tuple[str, str],
    account: Account,
    client: HttpClient,
) -> Invoker:
    from gateway.invoke.aws.function import AwsFunction
    from gateway.invoke.aws.function_url import FunctionUrl

    region, endpoint = place
    if isinstance(target, UrlTarget):
        return FunctionUrl(target, region, account if target.signed else None, client)
    return AwsFunction(target, region, target.endpoint or endpoint, account, client)


def check_handlers(routes: Iterable[Route]) -> None:
    """See that every local function can be imported and called; blocks while it looks.

    Raises:
        ConfigError: one cannot; the first of them, by file.
    """
    for route in routes:
        if isinstance(route.target, LocalTarget):
            missing = [name for name in EMULATION if find_spec(name) is None]
            if missing:
                raise ConfigError(
                    f"route {route.label}: emulated functions need {' and '.join(missing)};"
                    " install dialback[gateway,local]"
                )
            problem = check_handler(_spec(route, route.target))
            if problem is not None:
                raise ConfigError(f"route {route.label}: {problem}")


def check_places(routes: Iterable[Route]) -> None:
    """See that it is known where every function on AWS is; blocks while it looks, and calls nothing.

    Raises:
        ConfigError: a region is missing or none, or botocore is.
    """
    for route in routes:
        if isinstance(route.target, AwsTarget | UrlTarget):
            try:
                _place(route.target, _account())
            except ConfigError as error:
                raise ConfigError(f"route {route.label}: {error}") from error


def _spec(route: Route, target: LocalTarget) -> FunctionSpec:
    return FunctionSpec(
        name=route.name,
        file=target.file,
        handler=target.handler,
        timeout=route.function_timeout,
        concurrency=route.concurrency,
        env=target.env,
    )
