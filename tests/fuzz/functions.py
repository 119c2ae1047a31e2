"""A function that lets somebody else dial back in its place."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

PATIENCE = 30.0


def lend_callback(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Write the envelope to FOLDER/envelope, and return once FOLDER/done is there."""
    del event
    folder = Path(os.environ["FOLDER"])
    envelope = json.dumps(context.client_context.custom["dialback"])
    (folder / "part").write_text(envelope)
    (folder / "part").rename(folder / "envelope")
    deadline = time.monotonic() + PATIENCE
    while not (folder / "done").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return {"statusCode": 200}
