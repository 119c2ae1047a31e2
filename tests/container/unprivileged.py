"""Commands that run as nobody in particular."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from tests.patience import PATIENCE

# It may look everywhere, as the interpreter may lie in somebody's home, and write nowhere but where
# its number may.
_CAPABILITIES = "-all,+dac_read_search"


@cache
def as_user(number: int) -> tuple[str, ...]:
    """Return what stands before a command that this user runs; nothing if we are no root ourselves.

    Raises:
        AssertionError: root may not become anybody else here.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv is part of util-linux"
    become = (setpriv, f"--reuid={number}", f"--regid={number}", "--clear-groups", "--no-new-privs")
    kinds = ("inh-caps", "ambient-caps", "bounding-set")
    prefix = (*become, *(f"--{kind}={_CAPABILITIES}" for kind in kinds))
    subprocess.run([*prefix, "true"], check=True, timeout=PATIENCE)
    return prefix
