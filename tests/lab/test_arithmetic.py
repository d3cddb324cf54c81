"""How the lab multiplies, and where."""

from __future__ import annotations

import pytest
import torch

from energybench.errors import UsageError
from energybench.lab.arithmetic import arithmetic, device


def test_the_lab_trains_on_a_gpu_where_there_is_one() -> None:
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_fp32_needs_nothing_and_leaves_nothing_behind() -> None:
    with arithmetic("fp32"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_low_precision_without_a_gpu_is_refused() -> None:
    with pytest.raises(UsageError, match="precision bf16 needs a CUDA GPU"), arithmetic("bf16"):
        pass
