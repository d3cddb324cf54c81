"""`energybench estimate pre`: what a training will take, before it begins, learned from stored runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TextIO

from energybench.commands.arguments import add_pue, add_storage, share, storage_folder, terminal_width
from energybench.commands.estimate.learning import add_method, learned
from energybench.commands.estimate.sources import add_from

if TYPE_CHECKING:
    from energybench.estimators.pre.crossing import Crossed
    from energybench.estimators.pre.question import Asked, Question


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "pre", help="predict the energy of a training from its features, before it begins, by what stored runs took"
    )
    job = parser.add_argument_group("the training")
    job.add_argument("--model", required=True, metavar="NAME", help="a model of the runs, or one that can be counted")
    job.add_argument("--epochs", required=True, type=float, metavar="N", help="epochs of the training")
    job.add_argument("--batch", type=float, metavar="N", help="images in a batch")
    job.add_argument("--size", type=float, metavar="PIXELS", help="side of the images")
    job.add_argument("--images", type=float, metavar="N", help="training images of an epoch (default: as in the runs)")
    job.add_argument(
        "--validation", type=float, default=0.0, metavar="N", help="validation images of an epoch (default 0)"
    )
    job.add_argument("--precision", metavar="NAME", help="fp32, tf32 or bf16")
    job.add_argument("--device", metavar="NAME", help="a device of the runs, or a GPU whose data sheet is known")
    job.add_argument("--device-w", type=float, metavar="W", help="the device's rated power or power limit")
    job.add_argument(
        "--feature",
        action="append",
        default=[],
        type=assignment,
        metavar="NAME=VALUE",
        help="any feature, above all else; may be repeated",
    )
    job.add_argument("--seconds", type=float, metavar="S", help="the whole training's duration, where it is known")
    known = parser.add_argument_group("what is learned from")
    add_from(known)
    known.add_argument("--using", metavar="FILE", help="a predictor that `energybench estimate fit` saved, instead")
    add_method(known)
    add_storage(known)
    said = parser.add_argument_group("what is said")
    said.add_argument("--level", type=share, default=0.9, help="of the intervals (default 90%%)")
    said.add_argument("--far", action="store_true", help="answer more than tenfold outside of what the runs cover too")
    said.add_argument("--utilisation", type=share, metavar="SHARE", help="mean utilisation, for the calculators")
    said.add_argument("--memory-gb", type=float, metavar="GB", help="main memory, for the calculators")
    said.add_argument("--carbon", metavar="G|COUNTRY", help="gCO2e per kWh, or a country's code (DE, FRA)")
    said.add_argument("--price", metavar="P", help="price per kWh")
    add_pue(said)
    said.add_argument("--format", choices=("text", "json"), default="text", help="json for programs")
    parser.set_defaults(command=run)


def assignment(text: str) -> tuple[str, float]:
    """`batch=64` -> ("batch", 64.0); argparse turns the ValueError of other texts into its own sentence."""
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as batch=64")
    return name.strip(), float(value)


def run(options: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the prediction; UsageError and StoreError where there is none."""
    from dataclasses import replace

    from energybench.commands.estimate.pre_report import prediction_json, prediction_text
    from energybench.estimators.carbon import Factors, parse_carbon, parse_price
    from energybench.estimators.pre.prediction import predict
    from energybench.estimators.pre.question import Question, ask

    grams, source = (None, "") if options.carbon is None else parse_carbon(options.carbon)
    factors = Factors(grams, source, None if options.price is None else parse_price(options.price))
    features = dict(options.feature)
    if options.device_w is not None:
        features["device_w"] = options.device_w
    question = Question(
        model=options.model,
        epochs=options.epochs,
        batch=options.batch,
        size=options.size,
        images=options.images,
        validation=options.validation,
        precision=options.precision,
        device=options.device,
        features=features,
    )
    crossed, notes = learned(options, storage_folder(options), question.device)
    for note in notes:
        print(f"energybench: {note}", file=err)
    question = replace(question, device=question.device or _this_cpu(crossed))
    asked = counted(ask(question, crossed.observations), question, crossed)
    prediction = predict(
        asked,
        crossed,
        level=options.level,
        far=options.far,
        seconds=options.seconds,
        utilisation=options.utilisation,
        memory_gb=options.memory_gb,
    )
    pue = 1.0 if options.pue is None else options.pue
    if options.format == "json":
        print(prediction_json(prediction, factors, pue), file=out)
    else:
        print(prediction_text(prediction, factors, pue, terminal_width(out)), file=out)
    return 0


def _this_cpu(crossed: Crossed) -> str | None:
    """This machine's CPU where the runs are of several devices and it is one of them, and none is a GPU."""
    seen = crossed.predictor.seen
    if len(seen) < 2 or "gpu" in crossed.observations[0].meters:
        return None
    from energybench.metering.window import cpu_model

    here = cpu_model()
    return here if here in seen else None


def counted(asked: Asked, question: Question, crossed: Crossed) -> Asked:
    """`asked` with the operations and bytes of its model counted, where no run says them and the predictor needs them.

    This alone imports torch. UsageError where the model, its batch or its image size is not known, or torch is absent.
    """
    from dataclasses import replace

    from energybench.errors import UsageError
    from energybench.estimators.pre.observation import FEATURES
    from energybench.estimators.pre.question import COUNTED

    missing = asked.missing(crossed.predictor.columns)
    to_count = [name for name in missing if name in COUNTED]
    if not to_count:
        return asked
    unsaid = [f"--{option}" for option, name in (("batch", "batch"), ("size", "pixels")) if name not in asked.features]
    if unsaid:
        models = ", ".join(sorted({each.model for each in crossed.observations}))
        raise UsageError(
            f"no run is of {question.model} like this, and to count its operations {' and '.join(unsaid)} must be "
            f"given. There are runs of: {models}"
        )
    words = " and ".join(f"{name} ({FEATURES[name]})" for name in to_count)
    try:
        from energybench.lab.counting import count_training
    except ImportError as error:
        raise UsageError(
            f"no run says {words} of {question.model}, and without torch nothing can be counted. Give it with "
            f"--feature, or pip install 'energybench[bench]'"
        ) from error
    pixels, batch = round(asked.features["pixels"]), round(asked.features["batch"])
    counts = count_training(question.model, pixels, batch, bits=asked.features.get("bits", 32.0))
    found = counts | dict(asked.features)
    note = f"{', '.join(to_count)} of {question.model} counted from its layers, with 1000 classes and SGD"
    return replace(asked, features=found, notes=(*asked.notes, note))
