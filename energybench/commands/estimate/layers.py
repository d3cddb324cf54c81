"""`energybench estimate layers`: a model's step as the sum of its operations, measured here one by one."""

from __future__ import annotations

import argparse
import math
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_pue, at_least_one, terminal_width
from energybench.commands.waiting import tracked

if TYPE_CHECKING:
    from energybench.commands.estimate.layerwise import Summed
    from energybench.model import Estimate

_COUNT = at_least_one("number")
MISSED = "20 %"
"""median error of such sums over the nine models: benches/overhead/layers.py"""


def add(actions: Any) -> None:
    """Declare the subcommand."""
    parser = actions.add_parser(
        "layers",
        help="add up a model's step from its operations, each measured on this machine",
        description="Nothing is trained: every operation of a step runs alone for some milliseconds, on tensors of the "
        "step's shapes. Needs torch and torchvision (extra bench).",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="one of the suite's models of images")
    parser.add_argument("--batch", type=_COUNT, default=32, metavar="N", help="images in a batch (default 32)")
    parser.add_argument("--size", type=_COUNT, default=224, metavar="PIXELS", help="side of the images (default 224)")
    parser.add_argument("--classes", type=_COUNT, default=1000, metavar="N", help="classes (default 1000)")
    parser.add_argument("--forward", action="store_true", help="a forward pass without gradients, as in inference")
    parser.add_argument("--images", type=_COUNT, metavar="N", help="images of an epoch (default: one batch)")
    parser.add_argument("--epochs", type=_COUNT, default=1, metavar="N", help="epochs (default 1)")
    parser.add_argument("--watts", type=_watts, metavar="W", help="power at work, in place of this machine's meters")
    add_pue(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json for programs")
    parser.set_defaults(command=run)


def _watts(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"watts are above 0, not {text!r}")
    return value


_watts.__name__ = "watts"


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Measure and print; UsageError for an unknown model, without torch, and where no joules can be had."""
    from energybench.commands.estimate.layerwise import summed
    from energybench.errors import UsageError
    from energybench.metering import MeterOptions, open_meters
    from energybench.reports.estimate import estimate_json
    from energybench.reports.layers import layers_text

    try:
        from energybench.lab.layer_calls import forward_pass, training_step
    except ImportError as error:
        raise UsageError(f"layers are measured with torch ({error}): pip install 'energybench[bench]'") from error
    listed = forward_pass if options.forward else training_step
    calls = listed(options.model, options.size, options.batch, options.classes)
    with closing(open_meters(MeterOptions())) as meters:
        found = summed(calls, meters, options.watts, tracked=partial(tracked, what="operations", err=err))
    estimate = _estimate(options, found, len(calls))
    if options.format == "json":
        print(estimate_json(estimate), file=out)
    else:
        print(layers_text(estimate, width=terminal_width(out), pue=options.pue), file=out)
    return 0


def _estimate(options: argparse.Namespace, found: Summed, distinct: int) -> Estimate:
    from energybench.lab.arithmetic import device
    from energybench.model import Estimate, weakest

    layers = found.layers
    steps = options.epochs * (1 if options.images is None else math.ceil(options.images / options.batch))
    source = weakest(domain.provenance for domain in found.domains)
    basis = {
        "model": options.model,
        "batch": options.batch,
        "pixels": options.size,
        "classes": options.classes,
        "work": "forward pass" if options.forward else "training step",
        "steps": steps,
        "step_j": layers.cost.joules,
        "step_s": layers.cost.seconds,
        "by_kind": {kind: {"joules": cost.joules, "seconds": cost.seconds} for kind, cost in layers.by_kind.items()},
        "calls": layers.calls,
        "distinct_calls": distinct,
        "device": str(device()),
        "domains": [domain.name for domain in found.domains],
        "source": "watts given" if source is None else source.value,
        "watts": found.watts,
    }
    warnings = [
        f"{name} cannot run alone, and is missing from the sum ({why})" for name, why in layers.left_out.items()
    ]
    warnings.append(
        "a sum of operations knows nothing of caches and overlap: over nine models it missed whole steps by "
        f"{MISSED} (median)"
    )
    return Estimate("layer-wise sum", steps * layers.cost.joules, None, basis, tuple(warnings))
