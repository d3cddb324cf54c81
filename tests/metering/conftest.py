"""The real path of the powercap tree, with a fake one mounted over it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest


@pytest.fixture
def namespaced(powercap: Any) -> list[str]:
    """A command prefix that shows `powercap.root` as /sys/class/powercap; its argument list takes one more command."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount the fake tree where pyRAPL looks, with unshare")
    shell = (
        f"mount -t tmpfs none /sys/class && mkdir -p /sys/class/powercap && "
        f'mount --bind "{powercap.root}" /sys/class/powercap || exit 77; exec "$@"'
    )
    prefix = ["unshare", "-m", "sh", "-c", shell, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this root may not make a mount namespace")
    return prefix
