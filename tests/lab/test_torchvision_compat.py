from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from energybench.errors import UsageError
from energybench.lab import torchvision_compat
from energybench.lab.torchvision_compat import import_torchvision


def test_torchvision_imports_and_its_models_run() -> None:
    torchvision = import_torchvision()
    from torchvision.models import resnet18

    assert torchvision.__name__ == "torchvision"
    assert resnet18(num_classes=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_a_second_call_returns_the_same_package() -> None:
    assert import_torchvision() is import_torchvision()


def test_nothing_is_declared_where_the_plain_import_works() -> None:
    script = (
        "import sys, types\n"
        "fake = types.ModuleType('torchvision'); sys.modules['torchvision'] = fake\n"
        "from energybench.lab import torchvision_compat as compat\n"
        "assert compat.import_torchvision() is fake and compat._declared is None\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_other_failures_of_the_import_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator somebody::else does not exist")

    monkeypatch.setattr(torchvision_compat.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="somebody::else"):
        import_torchvision()


def test_a_missing_torchvision_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")

    monkeypatch.setattr(torchvision_compat.importlib, "import_module", missing)
    with pytest.raises(UsageError, match="pip install"):
        import_torchvision()
