"""What is compared: each a process of its own, on the same machine at the same time."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import SPARE, Contender, Fronting, Gateway
from tests.system.running import (
    REPOSITORY,
    Dialback,
    Process,
    eventually,
    free_port,
    running,
    running_dialback,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from tests.benchmarks.contenders import Kind

FUNCTIONS = Path(__file__).parent / "functions"
PACKAGES = ("protocol", "gateway", "lambda_client")

GATEWAY_CONFIG = """\
[gateway]
log_level = "warning"
"""

ROUTE_CONFIG = """
[[routes]]
path = "/{name}"
target = "local:{functions}/{handler}"
concurrency = {concurrency}
function_timeout = 120
{more}
"""

ROUTES: dict[Kind, tuple[str, str]] = {
    "streamed": ("streamed.py:handler", ""),
    "buffered": ("buffered.py:handler", ""),
    "upload": ("streamed.py:handler", 'request_body = "stream"'),
    "asgi": ("asgi_app.py:handler", ""),
    "uncoalesced": ("uncoalesced.py:handler", ""),
}
"""The function behind each route, and what its table says beside."""

NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {descriptors};
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  client_max_body_size 0;
  upstream direct {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://direct;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"""


@contextmanager
def contenders(kinds: Collection[Kind], at_once: int) -> Iterator[list[Contender]]:
    """Start those of these kinds, for so many requests at a time; nginx only where it is installed."""
    with ExitStack() as stack:
        found: list[Contender] = []
        direct, port = stack.enter_context(running_direct())
        if "direct" in kinds:
            base = f"http://127.0.0.1:{port}/api"
            found.append(Contender("direct", "direct", base, direct.pid))
        if "nginx" in kinds and shutil.which("nginx"):
            nginx, proxied = stack.enter_context(running_nginx(port))
            found.append(Contender("nginx", "nginx", f"http://127.0.0.1:{proxied}/api", nginx.pid))
        if "uvicorn" in kinds:
            process, served = stack.enter_context(running_uvicorn())
            base = f"http://127.0.0.1:{served}/api"
            found.append(Contender("uvicorn", "uvicorn", base, process.pid))
        if "floor" in kinds:
            floor, served = stack.enter_context(running_floor(at_once + SPARE))
            base = f"http://127.0.0.1:{served}/floor"
            found.append(Fronting("floor", "floor", base, floor.pid))
        routes = [kind for kind in ROUTES if kind in kinds]
        if routes:
            dialback = stack.enter_context(running_gateway(routes, at_once))
            for kind in routes:
                name = "buffered" if kind == "buffered" else "dialback"
                found.append(Gateway(name, kind, dialback))
        yield found


def running_direct() -> AbstractContextManager[tuple[Process, int]]:
    """Plain aiohttp, and its port."""
    return running_module("tests.benchmarks.direct")


def running_floor(workers: int) -> AbstractContextManager[tuple[Process, int]]:
    """The pipe without promises, and its port."""
    return running_module("tests.benchmarks.floor", str(workers))


@contextmanager
def running_module(name: str, *more: str) -> Iterator[tuple[Process, int]]:
    """A module that is told its port, and more, and says when it is ready; and that port."""
    port = free_port()
    with running(sys.executable, "-m", name, str(port), *more, ready="ready") as process:
        yield process, port


@contextmanager
def running_uvicorn() -> Iterator[tuple[Process, int]]:
    """uvicorn with its fastest parts, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.functions.asgi_app:app"]
    flags = ["--loop=uvloop", "--http=httptools", "--lifespan=off", "--no-access-log"]
    with running(*command, *flags, f"--port={port}", ready="running") as process:
        yield process, port


@contextmanager
def running_gateway(
    routes: Iterable[Kind], at_once: int, tree: Path = REPOSITORY
) -> Iterator[Dialback]:
    """Run the gateway, and the functions behind it, with the code of a work tree.

    Raises:
        RuntimeError: it would run other code.
    """
    env = {"PYTHONPATH": str(tree)}
    check_origin(tree, env)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dialback.toml")
        tables = [route_table(kind, at_once + SPARE) for kind in routes]
        config.write_text(GATEWAY_CONFIG + "".join(tables))
        with running_dialback("--config", config, command="serve", env=env) as dialback:
            yield dialback


def route_table(kind: Kind, concurrency: int) -> str:
    """Return the table of the route to one kind of function."""
    handler, more = ROUTES[kind]
    return ROUTE_CONFIG.format(
        name=kind, functions=FUNCTIONS, handler=handler, concurrency=concurrency, more=more
    )


def check_origin(tree: Path, env: dict[str, str]) -> None:
    """See that a process with this environment imports dialback from this tree.

    Raises:
        RuntimeError: it does not.
    """
    asked = f"import json, {', '.join(PACKAGES)}; print(json.dumps([{', '.join(f'{name}.__file__' for name in PACKAGES)}]))"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", asked],
        env={**os.environ, **env},
        cwd="/",
        check=True,
        capture_output=True,
    ).stdout
    for file in json.loads(answer):
        if not Path(file).resolve().is_relative_to(tree.resolve()):
            raise RuntimeError(f"{file} would be measured, and not {tree}")


@contextmanager
def running_nginx(upstream: int) -> Iterator[tuple[Process, int]]:
    """Unbuffered nginx in front of a port, with kept-alive connections; and its own port."""
    port = free_port()
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(
            NGINX_CONFIG.format(
                folder=folder, upstream=upstream, port=port, descriptors=descriptors
            )
        )
        process = Process(["nginx", "-p", folder, "-c", config, "-e", "stderr"], {})
        try:
            eventually(Path(folder, "nginx.pid").exists)
            yield process, port
        finally:
            process.stop()
