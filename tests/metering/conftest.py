"""Privileges that are really dropped, and the real path of the powercap tree with a fake one mounted over it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
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


@pytest.fixture
def refused() -> Callable[[Path, list[str]], subprocess.CompletedProcess[str]]:
    """Run a command as somebody who may not read one file: `refused(file, command)`; the right is really dropped."""

    def run(secret: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
        secret.chmod(0o400)
        if os.geteuid() == 0:
            # Root reads every file: give this one to somebody else, and ask as a root without that privilege.
            if shutil.which("setpriv") is None:
                pytest.skip("running as root, and there is no setpriv to drop root's right to read every file")
            os.chown(secret, 12345, 12345)
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
        else:
            secret.chmod(0)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and "setpriv" in done.stderr:
            pytest.skip(f"this root may not drop privileges: {done.stderr.strip()}")
        return done

    return run
