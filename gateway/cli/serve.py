"""``dialback serve``: the gateway, as a file says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Run the gateway as a file says.

  dialback serve --config dialback.toml
  DIALBACK_EDGE=0.0.0.0:80 dialback serve --config dialback.toml

The file:

  [gateway]
  edge = "0.0.0.0:8080"                           # clients
  callback = "0.0.0.0:8081"                       # functions dial back here
  admin = "127.0.0.1:9090"                        # /healthz /readyz /metrics /exchanges
  callback_url = "wss://callback.example.com"     # the callback listener as functions see it
  token_keys = ["/run/secrets/token-key"]         # made at random when absent
  workers = 2                                     # processes that share the edge; below
  edge_certificate = "/run/secrets/edge.pem"      # PEM, with its chain: the edge speaks TLS
  edge_key = "/run/secrets/edge-key.pem"          # in the same file when absent
  callback_certificate = "/run/secrets/cb.pem"    # the same for functions; callback_key
  trusted_proxies = ["10.0.0.0/8"]                # whose X-Forwarded-* and Forwarded count; none
  memory_budget = 536870912                       # bytes of bodies held; beyond, 503

  [gateway.timing]                                # seconds
  resume_grace = 30                               # for a lost callback to come back
  attach_timeout = 20                             # for one, when the call's own outcome is unknown
  request_head = 30                               # for a new connection to send a request
  upload_grace = 30                               # for a slow request body; then 1,000 bytes a second
  write_stall = 300                               # for a client that takes nothing
  ping = 10                                       # silence of a busy callback before it is asked
  dead = 10                                       # and so much later it is lost
  park_ttl = 300                                  # for a parked callback to be used again

  [[routes]]
  path = "/"
  target = "local:app.py:handler"                 # relative to this file
  timeout = 40                                    # seconds; the function gets 10 less
  head_timeout = 10                               # from the callback to the head; off when absent
  request_body = "inline"                         # or "spill", "stream"
  request_body_max = 100000000                    # bytes that are taken at all; any when absent
  concurrency = 16
  queue = 128
  sse_error_event = true                          # tell readers of an event stream that breaks off
  sse_heartbeat = 15                              # seconds of silence before a comment; 0: none
  compress = false                                # true: text as gzip to clients that take it
  on_disconnect = "cancel"                        # or "continue" the function when its client leaves

  [[routes]]
  path = "/orders"
  target = "aws:orders:live"                      # name or ARN, with or without version or alias
  region = "eu-west-1"                            # or by the ARN, or AWS_REGION

  [[routes]]
  path = "/shop"
  target = "function_url:https://abc.lambda-url.eu-west-1.on.aws"
  auth = "iam"                                    # or "none"; the function allows the callback URL
                                                  # in its variable DIALBACK_ALLOWED_URLS

More keys of a route:

  host = "*.example.com"                          # or a whole name; any when absent
  path = "/users/{{id}}/{{rest+}}"                    # a template: one segment, and all that follows
  match = "exact"                                 # this path alone; "prefix" when absent
  methods = ["GET", "POST"]                       # others: the next route that matches, or 405
  payload = "1.0"                                 # the event as API Gateway's older format has it
  headers_add = {{ strict-transport-security = "max-age=63072000" }}    # on responses, replacing
  headers_remove = ["server"]                     # request_headers_add, _remove: for the function
  require_header = {{ name = "x-from-cdn", secret_file = "/run/secrets/cdn" }}   # or 403
  [routes.cors]                                   # as a Function URL has it; preflights end here
  allow_origins = ["https://www.example.com"]     # or "*"; allow_methods, allow_headers,
  max_age = 600                                   # expose_headers, allow_credentials = true

The most specific route wins: by host (name, *.name, any), then path (exact, template, prefix), then
length, then one that lists the method. A prefix serves its path and everything below it. The function
sees the whole path; pathParameters stay null, as at a Function URL.

Of the X-Forwarded-* and Forwarded headers of anybody else nothing reaches a function. It finds the client
in sourceIp (the right-most address that is not trusted), the way from there in X-Forwarded-For, and what
the client asked in X-Forwarded-Proto and -Port; a trusted X-Forwarded-Host becomes Host.

aws: functions are called by the Invoke API, with the credentials that AWS's own tools would find
(environment, profile, container, web identity, instance); they need lambda:InvokeFunction, or
lambda:InvokeFunctionUrl. A signed call carries the client's own Authorization as
X-Forwarded-Authorization. Set callback_url to what those functions can reach.

Several workers (--workers, [gateway] workers) share the edge port and the admin listener; a worker that dies
is started again. Each has a callback port of its own: callback, and those that follow it. A function must
reach the very one that called it, so callback_url has a place for what tells them apart, {{port}} or
{{worker}} (from 0): "wss://callback.example.com/w{{worker}}". memory_budget, and concurrency and queue of
every route, are for all together and divided among them; other limits are each worker's. {{host}} is this
machine's own address, where functions reach it without a load balancer: "ws://{{host}}:{{port}}".

Keys and certificates are read again within seconds of a change; nothing that is open is disturbed. What
cannot be used is named in the log, and the old one stays. Functions trust a private CA by their variable
DIALBACK_CA_FILE, a PEM file in their package.

Variables that override [gateway]: {variables}.
Without --config the text of the file is taken from the variable DIALBACK_TOML.

SIGTERM or SIGINT: no new requests; what is begun has drain_deadline seconds (25) to finish, and is then
broken off so that clients see it. A second signal breaks it off at once. Exit code: 0 if everything was
finished, 1 if not, 2 for a mistake in arguments or settings.
"""

_HINTS = {
    name: f"gateway.{name} in the file, or DIALBACK_{name.upper()}"
    for name in ("edge", "callback", "admin")
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION.format(variables=_variables())
    parser.add_argument("--config", type=Path, metavar="FILE.toml")
    parser.add_argument(
        "--workers", type=arguments.count, metavar="N", help="processes that share the edge (1)"
    )
    parser.set_defaults(run=_run)


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


def _variables() -> str:
    if not {"--help", "-h"} & set(sys.argv):
        return ""  # reading the table would import what only help shows
    from gateway.config import ENVIRONMENT

    return ", ".join(ENVIRONMENT)
