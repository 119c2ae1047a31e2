"""The three that are compared, each a process of its own, on the same machine at the same time."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from tests.benchmarks.client import Client
from tests.benchmarks.load import first_bytes
from tests.system.running import (
    Dialback,
    Process,
    eventually,
    free_port,
    running,
    running_dialback,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENCY = 16
WORKLOAD = "tests/benchmarks/workload.py:handler"

NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream direct {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://direct;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


class InlineAnswerError(Exception):
    """A measured response did not come over the callback: the figure would be of something else."""


class Contender:
    """A server under test."""

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self.client = Client(base)

    async def warm_up(self) -> None:
        """Start what is started only once."""

    def frames(self) -> float:
        """DATA frames that came over callbacks so far; zero where there are none."""
        return 0.0

    def check(self, *, frames: float, responses: int) -> None:
        """Judge by the server's own counters whether a round measured what it says."""


class DialbackContender(Contender):
    """The gateway, whose counters tell the way that each response took."""

    def __init__(self, dialback: Dialback) -> None:
        super().__init__("dialback", f"{dialback.url}/api")
        self._dialback = dialback

    @override
    async def warm_up(self) -> None:
        """Let every worker start and dial, which takes it some 100 ms, once."""
        await first_bytes(self.client, requests=4 * CONCURRENCY, at_once=CONCURRENCY, stay_ms=200)

    @override
    def frames(self) -> float:
        return self._dialback.metric("dialback_data_frames_total", route="/")

    @override
    def check(self, *, frames: float, responses: int) -> None:
        """Raise `InlineAnswerError` unless every response brought at least one frame.

        For the tiny responses, which are one chunk each, that means: every single one.
        """
        if frames < responses:
            raise InlineAnswerError(f"{responses} responses, but only {frames:.0f} DATA frames")


@contextmanager
def contenders() -> Iterator[list[Contender]]:
    """Start direct, dialback and, where it is installed, nginx in front of direct."""
    with ExitStack() as stack:
        port = free_port()
        stack.enter_context(
            running(sys.executable, "-m", "tests.benchmarks.direct", str(port), ready="ready")
        )
        found = [Contender("direct", f"http://127.0.0.1:{port}/api")]
        if shutil.which("nginx"):
            proxied = stack.enter_context(running_nginx(port))
            found.append(Contender("nginx", f"http://127.0.0.1:{proxied}/api"))
        dialback = stack.enter_context(
            running_dialback(WORKLOAD, "--concurrency", str(CONCURRENCY))
        )
        yield [*found, DialbackContender(dialback)]


@contextmanager
def running_nginx(upstream: int) -> Iterator[int]:
    """Unbuffered nginx in front of a port, with kept-alive connections; yields its own port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX_CONFIG.format(folder=folder, upstream=upstream, port=port))
        process = Process(["nginx", "-p", folder, "-c", config, "-e", "stderr"], {})
        try:
            eventually(Path(folder, "nginx.pid").exists)
            yield port
        finally:
            process.stop()
