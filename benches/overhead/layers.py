"""Is a model's energy the sum of its layers'? Operations measured alone against whole steps of the nine models.

    python benches/overhead/layers.py [--models NAMES] [--rounds 15] [--watts 8] [--meter]

For each model, at the image size and batch of the quick profile: the cost of a training step (forward, loss, backward,
optimiser) and of a forward pass, predicted as the sum of its operations measured one by one, and measured as a whole on
batches that lie ready. Joules are seconds times --watts; with --meter they are read from the counters of this machine,
and every batch of calls then takes 0.3 s at least, so that counters have moved. To be reached: a median absolute error
of 20 % over the models. It runs on the current CUDA device where there is one. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from tabulate import tabulate

from energybench.commands.estimate.layerwise import METERED_BATCH_S, Cumulative, hardware, metered_costs
from energybench.lab.arithmetic import device
from energybench.lab.finetune import training_loss
from energybench.lab.layer_calls import forward_pass, training_step
from energybench.lab.layer_costs import Cost, Costs, Layerwise
from energybench.lab.models import NINE, build
from energybench.lab.optimizer import optimizer
from energybench.lab.profiles import recipe
from energybench.metering import MeterOptions, open_meters
from energybench.metering.meter import fence

CLASSES = 10
GOAL = 0.20


def whole(
    name: str, pixels: int, batch: int, rounds: int, *, training: bool, cost: Callable[[Callable[[], None]], Cost]
) -> Cost:
    """Median cost of a step or a forward pass of the real model; the first two warm up."""
    where = device()
    torch.manual_seed(0)
    model = build(name, CLASSES, pixels).to(where)
    images = torch.randn(batch, 3, pixels, pixels, device=where)
    labels = torch.randint(0, CLASSES, (batch,), device=where)
    model.train(training)
    steps_with = optimizer(model, "sgd", 1e-4, 1e-4)

    def step() -> None:
        steps_with.zero_grad(set_to_none=True)
        training_loss(model(images), labels).backward()
        steps_with.step()

    def forward() -> None:
        with torch.no_grad():
            model(images)

    run = step if training else forward
    taken = [cost(run) for _ in range(rounds + 2)][2:]
    return Cost(statistics.median(one.seconds for one in taken), statistics.median(one.joules for one in taken))


def off(predicted: float, measured: float) -> float:
    """Signed error as a share of what was measured."""
    return (predicted - measured) / measured


def parts(predicted: Layerwise) -> str:
    """The three kinds of operations that cost most, with their share."""
    shares = sorted(((cost.joules, kind) for kind, cost in predicted.by_kind.items()), reverse=True)[:3]
    return ", ".join(f"{kind} {joules / predicted.cost.joules:.0%}" for joules, kind in shares)


def main() -> None:
    """Print a row per model and kind of work, and the median absolute errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(NINE), help="names, separated by commas")
    parser.add_argument("--rounds", type=int, default=15, help="steps of each whole model")
    parser.add_argument("--watts", type=float, default=8.0, help="what a second costs where nothing is metered")
    parser.add_argument("--meter", action="store_true", help="read joules from this machine's counters")
    given = parser.parse_args()
    meters = open_meters(MeterOptions(estimate=False)) if given.meter else None
    if meters is not None and not hardware(meters):
        parser.error("this machine has no counter to read: leave --meter out")
    if meters is None:
        joules, costs = None, Costs(watts=given.watts, where=device(), fence=fence)
    else:
        joules, costs = Cumulative(meters, hardware(meters)), metered_costs(meters, hardware(meters))

    def cost(run: Callable[[], None]) -> Cost:
        fence()
        before_j, before, times = (0.0 if joules is None else joules()), time.perf_counter(), 0
        while times == 0 or (joules is not None and time.perf_counter() - before < METERED_BATCH_S):
            run()
            fence()
            times += 1
        seconds = time.perf_counter() - before
        spent = seconds * given.watts if joules is None else joules() - before_j
        return Cost(seconds / times, spent / times)

    rows: list[list[object]] = []
    errors: dict[str, list[float]] = {"training step": [], "forward pass": []}
    started = time.perf_counter()
    for name in given.models.split(","):
        chosen = recipe("quick", name)
        for kind, calls in (
            ("training step", training_step(name, chosen.pixels, chosen.batch, CLASSES)),
            ("forward pass", forward_pass(name, chosen.pixels, chosen.batch, CLASSES)),
        ):
            predicted = costs.of(calls)
            measured = whole(
                name, chosen.pixels, chosen.batch, given.rounds, training=kind == "training step", cost=cost
            )
            error = off(predicted.cost.joules, measured.joules)
            errors[kind].append(abs(error))
            figures = [f"{1000 * predicted.cost.seconds:.1f}", f"{1000 * measured.seconds:.1f}"]
            figures += [f"{predicted.cost.joules:.3g}", f"{measured.joules:.3g}", f"{error:+.1%}"]
            missing = ", ".join(predicted.left_out) or "-"
            rows.append([f"{name}, {kind}", predicted.calls, *figures, parts(predicted), missing])
    heads = ("what", "calls", "sum ms", "whole ms", "sum J", "whole J", "error", "most of it", "not measured")
    print(tabulate(rows, heads, disable_numparse=True))
    how = "joules read from counters" if meters else f"joules are seconds x {given.watts:g} W"
    print(
        f"\n{device()}, {torch.get_num_threads()} threads; {len(costs.known)} distinct operations in "
        f"{time.perf_counter() - started:.0f} s with the models; {how}"
    )
    for kind, values in errors.items():
        middle = statistics.median(values)
        print(f"{kind}: median absolute error {middle:.1%}; at most {GOAL:.0%}: {'yes' if middle <= GOAL else 'NO'}")


if __name__ == "__main__":
    main()
