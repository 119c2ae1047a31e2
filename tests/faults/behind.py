"""A real gateway whose functions dial through a proxy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.faults.proxy import Proxy, running_proxy
from tests.system.running import Dialback, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def dialback_behind_proxy(
    *args: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Dialback, Proxy]]:
    """Run `dialback dev ARGS`; what its functions dial is the proxy.

    Args:
        args: as for `running_dialback`.
        env: likewise, e.g. ``{"DIALBACK_RESUME_GRACE": "2"}``.
    """
    with (
        running_proxy(("127.0.0.1", 0)) as proxy,
        running_dialback(*args, f"--callback-url={proxy.url}", env=env) as dialback,
    ):
        proxy.target = ("127.0.0.1", dialback.callback_port)
        yield dialback, proxy
