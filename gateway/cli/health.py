"""``dialback health``: asks the admin listener of a running gateway, for containers that have no shell."""

from __future__ import annotations

import http.client
import os
from typing import TYPE_CHECKING

from gateway.cli import arguments

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from gateway.address import Address

DESCRIPTION = """\
Ask the gateway that runs beside this command whether it is well.

  dialback health --config dialback.toml
  DIALBACK_ADMIN=127.0.0.1:9090 dialback health --ready

It asks on the admin address of the same settings whether the gateway answers (/healthz), or whether it takes
new requests (--ready: /readyz). Without --config and DIALBACK_TOML that is DIALBACK_ADMIN, or 127.0.0.1:9090.
Exit code: 0 if it is well, 1 and one line that says what is wrong if not.
"""

NOT_READY = "not ready: it is still starting, or finishing what is begun before it ends"

PATIENCE = 3.0
"""Seconds: a loop that takes longer to say "ok" is not well, and probes have a few seconds themselves (5, in
`deploy/`). Of several workers, one that has not answered for 2 s is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "--config", type=arguments.file, metavar="FILE.toml", help="that the gateway has"
    )
    parser.add_argument("--ready", action="store_true", help="does it take new requests?")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    address = _admin_address(options.config)
    problem = examine(address, "/readyz" if options.ready else "/healthz")
    print(f"http://{address}: {problem or 'well'}")
    return 1 if problem else 0


def _admin_address(file: Path | None) -> Address:
    from gateway.config import TEXT_VARIABLE, GatewaySettings, from_environment, load
    from gateway.sockets import reachable

    if file is None and TEXT_VARIABLE not in os.environ:
        settings = from_environment(GatewaySettings(), os.environ)
    else:
        settings = load(file, os.environ).gateway
    return reachable(settings.admin)


def examine(address: Address, path: str) -> str | None:
    """Return what is wrong with a gateway, or None.

    Args:
        address: of its admin listener.
        path: what to ask there.
    """
    connection = http.client.HTTPConnection(address.host, address.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace").strip()
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s: it is still starting, or its event loop is stuck"
    except ConnectionRefusedError:
        return "nobody listens: `dialback serve` has ended, or gateway.admin is another address"
    except (OSError, http.client.HTTPException) as error:
        return f"{path} cannot be asked: {error!r}"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else _trouble(path, answer.status, said)


def _trouble(path: str, status: int, said: str) -> str:
    if path == "/readyz" and said == "not ready":
        return NOT_READY
    if path == "/healthz" and status == http.client.SERVICE_UNAVAILABLE and said:
        return "; ".join(said.splitlines())  # the workers that are not well
    return f"{path} answers {status}, which no gateway does: {said[:80]!r}"
