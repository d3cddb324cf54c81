"""Makes torchvision importable beside a CPU-only torch.

torchvision's wheel on the package index is linked against CUDA. Beside a torch built without CUDA its compiled
operators cannot be loaded, and `import torchvision` ends with "operator torchvision::nms does not exist" (known:
pytorch/vision issues 9077 and 9085), although the models and the transforms need none of them. Declaring the schema of
the two operators that are looked up during the import is enough. Where torchvision imports by itself nothing is done.

With the declaration in place `torchvision.models`, `transforms` and `datasets` work; `torchvision.ops.nms` and
`torchvision.io.decode_jpeg` still raise torch's own error, so images are decoded with Pillow here.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

from energybench.errors import UsageError

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

_declared: torch.library.Library | None = None
"""torch forgets a declaration when its Library object is collected, so it lives as long as the process"""


def import_torchvision() -> ModuleType:
    """The torchvision package, declared operators and all where the plain import needs them.

    Raises UsageError where torchvision is not installed, and torch's own error where it fails for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise UsageError("torchvision is not installed: pip install 'energybench[bench]'") from error
    except RuntimeError as error:
        if torch.version.cuda is not None or "torchvision::nms" not in str(error):
            raise
        _declare_operators()
        # The failed attempt leaves half-imported submodules behind, which would shadow the second attempt.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return importlib.import_module("torchvision")


def _declare_operators() -> None:
    global _declared
    if _declared is None:
        _declared = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS.values():
            _declared.define(schema)
