"""``dialback serve``: the gateway, as a file says."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Run the gateway as a file says.

  dialback serve --config dialback.toml
  dialback serve --config dialback.toml --workers 4
  DIALBACK_EDGE=0.0.0.0:80 dialback serve --config dialback.toml

The smallest file:

  [[routes]]
  path = "/"
  target = "local:app.py:handler"                # in app.py, beside the file

One for a function on AWS:

  [gateway]
  edge = "0.0.0.0:8080"                          # clients
  callback = "0.0.0.0:8081"                      # functions dial back here
  callback_url = "wss://callback.example.com"    # the same, as functions see it
  token_keys = ["/run/secrets/token-key"]        # made by: head -c 32 /dev/urandom | base64

  [[routes]]
  path = "/"
  target = "aws:shop"                            # credentials as AWS's own tools find them
  region = "eu-west-1"
  function_timeout = 900                         # as Lambda has it for this function

`dialback settings` shows every other setting, its default and what it does. Variables override [gateway], as
DIALBACK_EDGE does above; the text of the whole file may be in DIALBACK_TOML, without --config.
`dialback check-config dialback.toml` says what is wrong with a file, `dialback doctor` why a function does not stream.

Of several workers each has a callback port of its own: that of callback, and those that follow it. Functions must
reach the very one that called them, so callback_url says {port}, or {worker}, which counts from 0.

SIGTERM or SIGINT: no new requests; what is begun has drain_deadline seconds (25) to finish, and is then broken off so
that clients see it. A second signal breaks it off at once. Exit code: 0 if everything was finished, 1 if not, 2 for a
mistake in arguments or settings.
"""

_HINTS = {
    name: f"gateway.{name} in the file, or DIALBACK_{name.upper()}"
    for name in ("edge", "callback", "admin")
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument("--config", type=arguments.file, metavar="FILE.toml", help="the settings")
    parser.add_argument(
        "--workers", type=_workers, metavar="N", help="processes that share the edge (1)"
    )
    parser.set_defaults(run=_run)


def _workers(text: str) -> int:
    from gateway.config_checks import WORKERS_MAX

    return arguments.count(text, WORKERS_MAX)


def _run(options: argparse.Namespace) -> int:
    from gateway import log
    from gateway.config import load, with_workers
    from gateway.routes import build_routes
    from gateway.server import Job

    settings = load(options.config, os.environ)
    gateway = settings.gateway
    if options.workers is not None:
        gateway = with_workers(gateway, options.workers, "--workers")
    log.set_up(gateway.log_level, gateway.log_format, sys.stderr)
    job = Job(
        settings=gateway,
        routes=build_routes(settings.routes),
        development=False,
        hints=_HINTS,
        say=lambda line: print(line, flush=True),
    )
    if gateway.workers > 1:
        from gateway.workers.supervisor import run
    else:
        from gateway.server import run
    return run(job)
