"""A real nginx in front of a gateway."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.system.running import Process, eventually, free_port
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# One process in the foreground, which keeps whatever it writes in a directory of its own.
CONFIGURATION = """
daemon off;
master_process off;
error_log stderr;
pid {directory}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_max_body_size 0;
  {temporary}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      {settings}
    }}
  }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def running_nginx(directory: Path, upstream: str, *settings: str) -> Iterator[str]:
    """Run nginx on a free port until the block ends; its URL.

    Args:
        directory: an empty one, for what it writes.
        upstream: whom it passes requests to, e.g. ``http://127.0.0.1:8080``.
        settings: further lines of the location, e.g. ``proxy_buffering off``.
    """
    program, port = require_program("nginx"), free_port()
    text = CONFIGURATION.format(
        directory=directory,
        temporary="".join(f"{name}_temp_path {directory}/{name};\n  " for name in TEMPORARY),
        port=port,
        upstream=upstream,
        settings="".join(f"{line};\n      " for line in settings),
    )
    file = directory / "nginx.conf"
    file.write_text(text)
    process = Process([program, "-p", directory, "-c", file, "-e", "stderr"], {})
    try:
        eventually(lambda: process.popen.poll() is not None or _listens(port))
        assert process.popen.poll() is None, process.stderr
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
