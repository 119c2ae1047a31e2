"""What a worker process runs first; then it is awslambdaric and the user's handler.

Run by path with ``-P``, so that this folder never enters ``sys.path``. It imports nothing of the
gateway: the process belongs to the function.

Arguments: the gateway's process id, the handler's directory, the handler as ``module.name``.
"""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)
_DESCRIPTORS_MAX = 1024  # Lambda's quota; the gateway itself has more


def die_with(parent: int) -> None:
    """Have the kernel kill this process, stopped or not, as soon as its parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit_descriptors() -> None:
    """Let the function open as many files as it may on Lambda."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main(parent: str, directory: str, handler: str) -> None:
    """Become the runtime of `handler`."""
    die_with(int(parent))
    limit_descriptors()
    os.chdir(directory)
    sys.path.insert(0, directory)
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
