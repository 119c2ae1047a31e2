"""``python -m gateway.cli``: the command line where no script was installed."""

from __future__ import annotations

import sys

from gateway.cli import main

sys.exit(main())
