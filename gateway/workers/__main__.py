"""A worker's process, started by the supervisor: ``python -m gateway.workers NUMBER``, its channel on stdin."""

from __future__ import annotations

import sys

from gateway.workers.worker import main

sys.exit(main())
