"""What surrounds a round: the time of day, the seeds, and what held the hardware down."""

from __future__ import annotations

import datetime
import random
import sys

from energybench.model import Round


def now() -> str:
    """ISO 8601 with offset."""
    return datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="milliseconds")


def seed_everything(seed: int) -> None:
    """Seed random, and numpy and torch where the process has already imported them."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)


def slowed(finished: Round) -> list[str]:
    """What NVML says held a GPU's clock down at either end of a round, each sentence once."""
    ends = (finished.conditions, finished.conditions_end)
    keys = [key for key in finished.conditions_end if key.endswith("_throttle_reasons")]
    if not keys:
        return []
    from energybench.metering.nvml import throttle_words

    said = []
    for key in keys:
        words = dict.fromkeys(word for end in ends if key in end for word in throttle_words(end[key]))
        if words:
            said.append(f"{key.removesuffix('_throttle_reasons')} was slowed down: {', '.join(words)}")
    return said
