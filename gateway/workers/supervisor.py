"""Keeps several workers behind one edge port, and speaks for them: to signals, and on the admin listener.

Every worker listens at the edge's address with a socket of its own, and the kernel spreads connections over
them (SO_REUSEPORT). So they are spread evenly, whoever is busy; and a worker that dies is out of the
group at once: what it held is broken visibly, and the next connection goes to another.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gateway import descriptors
from gateway.admin.application import Admin
from gateway.admin.server import few, runner_of
from gateway.credentials import read_credentials
from gateway.functions import check_handlers
from gateway.listener import Listener
from gateway.server import introduction
from gateway.serving import UNFINISHED, Stop, first
from gateway.sockets import address_of, bind, check_listeners, hold, reachable
from gateway.tokens import KEY_BYTES_MIN
from gateway.workers import plan
from gateway.workers.assignment import Assignment
from gateway.workers.gathered import Gathered
from gateway.workers.keeper import Keeper, StartFailed

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence

    from gateway.address import Address
    from gateway.server import Job

log = logging.getLogger("dialback.workers")

GRACE_SECONDS = 15.0
"""How long a worker may take beyond the drain deadline: it tells functions to stop, waits for last bytes,
and ends its processes, each with a limit of its own. Beyond, it is stuck."""


def run(job: Job) -> int:
    """Serve with several workers until a signal says to stop; return the exit code.

    Raises:
        ConfigError: a handler is not there, an address cannot be had, or the workers cannot share what
            there is; nothing was served.
    """
    settings = job.settings
    plan.check(settings, job.routes)
    addresses = plan.callback_addresses(settings)
    check_listeners(settings.edge, addresses, settings.admin)
    descriptors.raise_limit()
    read_credentials(settings)
    check_handlers(job.routes)
    with ExitStack() as stack:
        # Held as long as this process lives, so that a worker's port is free when it is started again.
        edge = stack.enter_context(hold("edge", settings.edge, job.hints["edge"]))
        callbacks = [
            stack.enter_context(hold("callback", address, job.hints["callback"]))
            for address in addresses
        ]
        admin = stack.enter_context(bind("admin", settings.admin, job.hints["admin"]))
        supervisor = _Supervisor(job, address_of(edge), list(map(address_of, callbacks)), admin)
        try:
            return asyncio.run(supervisor.run())
        except StartFailed as error:
            log.critical("%s", error)
            return UNFINISHED


class _Supervisor:
    def __init__(
        self, job: Job, edge: Address, callbacks: Sequence[Address], admin: socket.socket
    ) -> None:
        self._job = job
        self._edge = edge
        self._callbacks = callbacks
        self._admin = admin

    async def run(self) -> int:
        """Keep the workers until the order to stop; return the exit code."""
        stop = Stop()
        stop.on_signals()
        keepers = [Keeper(one, stop) for one in self._assignments()]
        names = self._job.settings.names_of_admin
        runner = runner_of(Admin(Gathered(keepers), names=names).application())
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - it was set up
        listener = Listener("admin", self._admin, few(runner.server), lambda: None)
        tasks = [asyncio.create_task(keeper.keep()) for keeper in keepers]
        try:
            return await self._steer(keepers, tasks, stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listener.close()
            await runner.cleanup()

    def _assignments(self) -> list[Assignment]:
        key = secrets.token_bytes(KEY_BYTES_MIN)
        return [
            Assignment(
                worker,
                *plan.divide(self._job.settings, self._job.routes, worker),
                edge=self._edge,
                callback=callback,
                key=key,
            )
            for worker, callback in enumerate(self._callbacks)
        ]

    async def _steer(
        self, keepers: Sequence[Keeper], tasks: Sequence[asyncio.Task[int]], stop: Stop
    ) -> int:
        everyone = asyncio.gather(*tasks)
        await _until(first(_all_listen(keepers), stop.begun.wait()), everyone)
        if not stop.begun.is_set():
            self._introduce()
            await _until(stop.begun.wait(), everyone)
        for keeper in keepers:
            keeper.stop(at_once=False)
        seconds = self._job.settings.drain_deadline + GRACE_SECONDS
        if not await _until(stop.at_once.wait(), everyone, seconds):
            for keeper in keepers:
                keeper.stop(at_once=True)
            await _until(asyncio.sleep(GRACE_SECONDS), everyone)
        if not everyone.done():
            log.error("a worker does not stop; it is killed")
            return UNFINISHED
        return UNFINISHED if any(everyone.result()) else 0

    def _introduce(self) -> None:
        job = self._job
        edge, admin = reachable(self._edge), reachable(address_of(self._admin))
        callbacks = [reachable(one) for one in self._callbacks]
        for line in introduction(job, edge, callbacks, admin):
            job.say(line)
        job.say("ready")


async def _all_listen(keepers: Sequence[Keeper]) -> None:
    for keeper in keepers:
        await keeper.first_listening.wait()


async def _until(
    one: Coroutine[Any, Any, object],
    everyone: asyncio.Future[list[int]],
    seconds: float | None = None,
) -> bool:
    """Wait for one, or until every worker is done; return whether that is so.

    Raises:
        Exception: what went wrong with a worker.
    """
    waiting = asyncio.ensure_future(one)
    tasks: set[asyncio.Future[Any]] = {waiting, everyone}
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    if everyone.done():
        everyone.result()
    return everyone.done()
