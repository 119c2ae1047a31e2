"""Starts the demo: one page, and the same slow answer buffered and streamed on it.

make demo                                                   then open http://127.0.0.1:8080/
.venv/bin/python deploy/examples/demo/run.py --port 8888    where 8080 is taken
"""

import argparse
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
HOST = "127.0.0.1"


def main():
    options = parse_options()
    ports = {
        "--port": options.port,
        "--callback-port": options.callback_port,
        "--admin-port": options.admin_port,
    }
    for flag, port in ports.items():
        if is_taken(port):
            print(
                f"Port {port} is in use by another program.\n"
                f"Stop that program, or choose another port: {sys.executable} {__file__} {flag} N",
                file=sys.stderr,
            )
            return 2
    arguments = [f"{flag}={port}" for flag, port in ports.items()]
    gateway = subprocess.Popen([*command(options), *arguments])  # noqa: S603 (our own command)
    signal.signal(signal.SIGTERM, lambda *_: gateway.terminate())
    try:
        if is_ready(gateway, options.admin_port):
            print(f"\n    Open http://{HOST}:{options.port}/    (Ctrl-C stops it)\n", flush=True)
        return gateway.wait()
    except KeyboardInterrupt:
        # The terminal sent Ctrl-C to the gateway as well: let it finish what is begun.
        return gateway.wait()


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8080, help="of the page (8080)")
    parser.add_argument("--callback-port", type=int, default=8081, help="functions dial it (8081)")
    parser.add_argument("--admin-port", type=int, default=9090, help="lists exchanges (9090)")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds from word to word")
    return parser.parse_args()


def command(options):
    return [
        *(Path(sys.executable).with_name("dialback"), "dev", HERE / "page.py:handler"),
        *("--route", f"/buffered={HERE / 'slow.py'}:buffered"),
        *("--route", f"/streamed={HERE / 'slow.py'}:streamed"),
        *("--route", f"/events={HERE / 'slow.py'}:events"),
        *("--env", f"INTERVAL={options.interval}"),
        *("--env", f"ADMIN_URL=http://{HOST}:{options.admin_port}"),
    ]


def is_taken(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def is_ready(gateway, admin_port):
    """Wait until the gateway serves; False if it ended instead."""
    while gateway.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{admin_port}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main())
