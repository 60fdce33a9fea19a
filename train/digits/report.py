# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one self-contained page about one run, its figures embedded."""

from fractions import Fraction
from functools import partial

from driver.checked import CheckedBackend
from golden.checks import as_instance
from golden.formats import LogFormat
from golden.tensor import Quantised
from tools.page import page, paragraph, picture, section, table
from train.digits import plots
from train.digits.outcome import Outcome

TITLE = "Handwritten digits, trained at 4 bits"


def render(outcome: Outcome) -> str:
    """The page as a string."""
    activations = outcome.four_bit.history.codes["inputs", 0].fmt.name
    found = outcome.summary()["versions"]
    return page("Tetra: digits at 4 bits", TITLE, [
        paragraph(f"Weights in INT4, activations in {activations}, gradients in "
                  f"radix-{_gradient_format(outcome).radix} log FP4, every layer from the first to "
                  "the last; FP32 is the same network from the same seed.", "lead"),
        table(outcome.headline(), ("", "4 bit", "FP32"), about="Accuracy and loss",
              kind="headline"),
        table(outcome.facts(), about="How it was computed", words=(1,)),
        *sections(outcome),
    ], ", ".join(f"{name} {number}" for name, number in found.items() if number))


def sections(outcome: Outcome) -> list[str]:
    """The HTML of each section."""
    trainer = outcome.four_bit
    history, labels = trainer.history, trainer.data.test_labels
    original = trainer.data.test_images[0]
    fmt = _gradient_format(outcome)
    wrong = int((history.predicted != labels).sum())
    pixels = trainer.network.quantised[0].codes["inputs"]  # of the latest test
    first = Quantised(pixels.codes[0], pixels.fmt, pixels.scale, pixels.zero_point)
    return [
        section("Learning curves", picture(
            partial(plots.curves, history, outcome.fp32.history),
            "Two line charts over the epochs, the 4-bit network solid, FP32 dashed: training loss "
            f"ends at {history.loss[-1]:.4f} and {outcome.fp32.history.loss[-1]:.4f}, test "
            f"accuracy at {history.accuracy[-1]:.2%} and {outcome.fp32.history.accuracy[-1]:.2%}.",
            "The closer the solid lines (4 bit) run to the dashed ones (FP32), the less four bits "
            "cost. The loss has a logarithmic axis; the axis of the accuracy does not start at "
            "0.")),
        section("What it gets wrong", picture(
            partial(plots.confusion, labels, history.predicted),
            f"Matrix of true against predicted digits; {len(labels) - wrong} of {len(labels)} test "
            f"images lie on the diagonal, {wrong} beside it.",
            f"{wrong} of {len(labels)} test images end off the diagonal: the 4-bit network takes "
            "the digit of their row for the digit of their column.")),
        section("An image at 4 bits", picture(
            partial(plots.image, original, first),
            f"A handwritten {labels[0]} of 8 by 8 pixels, twice: as scanned and in 4-bit codes.",
            f"The first test image, a {labels[0]}, as it was scanned and in the codes that the "
            f"core computes with; the 4-bit network reads a {history.predicted[0]}.")),
        section("How the 16 codes are used", picture(
            partial(plots.histograms, history),
            "A bar chart for the weights, the inputs and the gradients of every layer: the share "
            "of values that take each of the 16 codes.",
            "Each bar is the share of values that took a code in the last epoch; an even spread "
            f"wastes no codes. The seven magnitudes of radix {fmt.radix} reach from "
            f"{Fraction(fmt.unit())} to {fmt.TOP:g}; smaller gradients round to 0 or to the "
            "smallest.")),
        section("Adaptive gradient scale", _gradient_scale(outcome)),
        section("Where the cycles go", _cycles(outcome)),
    ]


def _cycles(outcome: Outcome) -> str:
    if (cycles := outcome.cycles_by_kind) is None:
        return paragraph("The golden model computes the same bits but has no clock: train on the "
                         "RTL (make run BACKEND=rtl) for cycles and utilisation.")
    if outcome.on_core:
        return picture(
            partial(plots.causes, cycles),
            "A bar chart: simulated clock cycles by what the core did in them.",
            "Multiplying is what the tile is for; in the cycles of the other bars it waits. One "
            "result per column of the tile can be rounded in a cycle. Utilisation is "
            f"{outcome.utilisation_means}.")
    assert isinstance(outcome.backend, CheckedBackend)
    return picture(
        partial(plots.phases, outcome.backend),
        "Two bar charts by phase: simulated clock cycles, and the share of multipliers at work.",
        "The left or upper bars count the cycles of the simulated core by phase, the others show "
        "how busy its multipliers were in them. Utilisation is "
        f"{outcome.utilisation_means}.")


def _gradient_format(outcome: Outcome) -> LogFormat:
    fmt = outcome.four_bit.history.codes["gradients", 0].fmt
    return as_instance("format of the gradients", fmt, LogFormat)


def _gradient_scale(outcome: Outcome) -> str:
    trainer = outcome.four_bit
    if _gradient_format(outcome).radix == 2:
        text = ("The line is the scale that the core solved at each step, from the first, so that "
                "the step's largest gradient falls on the top level, 64.")
    else:
        text = ("The line is one power of two per layer, doubled or halved after each step so that "
                "the largest gradient comes to lie within 32 to 64. It starts at 1; the first "
                "point is what the first step made of it. It rises as the errors shrink.")
    ends = ", ".join(f"{scale:.1f}" for scale in trainer.history.log2_scales[-1])
    return picture(partial(plots.log2_scales, trainer.history),
                   "A step chart per layer: the base-2 logarithm of the gradients' scale over the "
                   f"training steps. At the end: {ends}.", text)
