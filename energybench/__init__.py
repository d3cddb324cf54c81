"""energybench: a pytest-benchmark style energy test harness for deep learning.

Importing the package imports nothing heavy; the public names below are looked up on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from energybench.errors import EnergybenchError as EnergybenchError
    from energybench.model import Case as Case
    from energybench.model import Comparison as Comparison
    from energybench.model import Domain as Domain
    from energybench.model import Estimate as Estimate
    from energybench.model import Metric as Metric
    from energybench.model import Provenance as Provenance
    from energybench.model import Round as Round
    from energybench.model import Run as Run
    from energybench.model import Window as Window

_HOME = {
    "EnergybenchError": "errors",
    **dict.fromkeys(
        ("Case", "Comparison", "Domain", "Estimate", "Metric", "Provenance", "Round", "Run", "Window"), "model"
    ),
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"energybench.{_HOME[name]}"), name)
    raise AttributeError(f"module 'energybench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
