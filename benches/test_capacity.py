"""How many low bits of its weights can a model do without? The whole curve, k = 0 to 32, and what drawing it costs.

Three rules of overwriting, for all layers together and for each alone. Accuracies count the search images, as a
compressor's search does. Every k of the whole is evaluated. Layer by layer, the quick profile evaluates only where
neighbours differ by more than one image, and fills in the rest: the points say which; and it looks at eight layers of a
model, from the first to the last, where the other profiles look at all.
"""

from __future__ import annotations

from typing import Any

import pytest

from energybench.compress.capacity import Capacity, capacity_curve
from energybench.lab.finetune import evaluate
from energybench.lab.study import Study

RULES = ("truncate", "random", "nearest")
SCOPES = ("whole", "layers")
QUICK_LAYERS = 8
"""of a model, in the quick profile: some 60 evaluations for each rule where a model of 100 layers needs 700"""


@pytest.mark.energybench(rounds=1, warmup=0)
@pytest.mark.parametrize(("rule", "scope"), [(rule, scope) for rule in RULES for scope in SCOPES])
def test_capacity(energy: Any, study: Study, model: str, rule: str, scope: str) -> None:
    quick = scope == "layers" and study.profile == "quick"
    layers = QUICK_LAYERS if quick else None
    inputs = study.workload(model, "none", "capacity")
    parameters = {"rule": rule, "scope": scope, "layers": layers, "tolerance": study.tolerance}
    parameters |= {"relative": True} if study.relative else {}
    energy.workload(**{**inputs, "compressor": "stego", "compressor_parameters": parameters})

    def curve(network: Any) -> Capacity:
        data = study.data(model)
        found = capacity_curve(
            network,
            lambda candidate: evaluate(candidate, data.search).accuracy,
            rule=rule,
            scope=scope,
            evaluation_size=data.search.predictions,
            tolerance=study.tolerance,
            relative=study.relative,
            adaptive=quick,
            layers=layers,
        )
        numbers = {
            "accuracy_start": found.reference,
            "evaluations": found.evaluations,
            "images": found.evaluations * len(data.search),
        }
        if found.whole is not None:
            numbers |= {
                "accuracy": found.whole.points[found.whole.capacity].accuracy,
                "capacity": found.whole.capacity,
            }
        energy.record(**numbers)
        energy.facts(capacity=found.as_facts())
        return found

    if energy.resumed(curve):
        energy(curve, None)
        return
    subject = study.subject(model, "none", energy.apart)
    energy.facts(**{name: value for name, value in subject.facts().items() if name != "compression"})
    energy(curve, subject.fresh().model)
