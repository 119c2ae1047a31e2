"""One process group: started, stopped, continued, killed, and reaped without threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.invoke.local.spec import FunctionSpec

_BOOTSTRAP = str(Path(__file__).with_name("bootstrap.py"))


class WorkerProcess:
    """A runtime process that leads its own session and process group.

    Must be started by the thread that lives as long as the gateway (the main one): the kernel binds
    the "die with your parent" wish to the parent *thread*.

    Attributes:
        pid: the process id, which is also that of the group.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        environment: dict[str, str],
        output: int,
        on_exit: Callable[[int], None],
    ) -> None:
        """Start the process.

        Args:
            spec: the function to run.
            environment: its whole environment.
            output: descriptor that becomes its stdout and stderr.
            on_exit: told the exit code (negative: signal) once the process is reaped.

        Raises:
            OSError: no process could be started.
        """
        self._on_exit = on_exit
        self._frozen = False
        self._peak_memory = 0
        self.pid = _spawn(spec, environment, output)
        self._alive = True
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._status_file = os.open(f"/proc/{self.pid}/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def freeze(self) -> None:
        """Stop every process of the group, as Lambda does between invocations."""
        if self._alive:
            os.killpg(self.pid, signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Let a frozen group go on."""
        if self._frozen and self._alive:
            os.killpg(self.pid, signal.SIGCONT)
        self._frozen = False

    def kill(self) -> None:
        """Kill every process of the group; `on_exit` follows."""
        if self._alive:
            os.killpg(self.pid, signal.SIGKILL)

    def peak_memory(self) -> int:
        """Return the most memory the process ever had resident, in MB."""
        if self._alive:
            try:
                _, _, after = os.pread(self._status_file, 4096, 0).partition(b"VmHWM:")
                self._peak_memory = int(after.split(None, 1)[0])
            except (OSError, IndexError, ValueError):
                pass  # a process that is just ending has no such line any more
        return -(-self._peak_memory // 1024)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        # Before reaping: the dead leader still reserves the group's number.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._alive = False
        _, status, usage = os.wait4(self.pid, 0)
        self._peak_memory = usage.ru_maxrss
        os.close(self._pidfd)
        os.close(self._status_file)
        self._on_exit(os.waitstatus_to_exitcode(status))


def _spawn(spec: FunctionSpec, environment: dict[str, str], output: int) -> int:
    arguments = [
        *(sys.executable, "-P", _BOOTSTRAP),
        *(str(os.getpid()), str(spec.directory), spec.runtime_handler),
    ]
    return os.posix_spawn(
        sys.executable,
        arguments,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        # Python ignores these two; a program that is started must not inherit that.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
