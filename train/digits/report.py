# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one self-contained page about one run, its figures embedded."""

from fractions import Fraction
from html import escape

from matplotlib.figure import Figure

from golden.checks import as_instance
from golden.formats import LogFormat
from golden.tensor import Quantised
from train.digits import plots
from train.digits.outcome import Outcome
from train.quantisers import Luq

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tetra: digits at 4 bits</title>
<style>
  body {{ font: 16px/1.55 system-ui, sans-serif; color: #212529; background: #fff;
         max-width: 54rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
  h1 {{ font-size: 1.7rem; margin-bottom: 0.2rem; }}
  h2 {{ font-size: 1.15rem; margin: 2.6rem 0 0.4rem; }}
  .lead {{ color: #495057; margin-top: 0; }}
  table {{ border-collapse: collapse; margin: 1rem 0; width: 100%; }}
  th, td {{ text-align: left; padding: 0.35rem 0.9rem 0.35rem 0; font-weight: normal;
           border-bottom: 1px solid #dee2e6; font-variant-numeric: tabular-nums; }}
  thead th {{ color: #495057; font-size: 0.9rem; }}
  .headline td {{ font-size: 1.25rem; }}
  .headline td:nth-child(2) {{ color: {four_bit}; font-weight: 600; }}
  .headline td:nth-child(3) {{ color: {fp32}; }}
  img {{ max-width: 100%; display: block; margin: 0.4rem auto; }}
  p, .note {{ max-width: 46rem; }}
  .note {{ color: #868e96; font-size: 0.85rem; margin-top: 3rem; }}
</style>
<h1>Handwritten digits, trained at 4 bits</h1>
<p class="lead">Weights in INT4, activations in {activations}, gradients in {gradients}, every
layer from the first to the last; FP32 is the same network from the same seed.</p>
<table class="headline"><thead><tr><th></th><th>4 bit</th><th>FP32</th></tr></thead>
{headline}</table>
<table>{facts}</table>
{sections}
<p class="note">{versions}</p>
</html>
"""


def render(outcome: Outcome) -> str:
    """The page as a string."""
    return PAGE.format(
        four_bit=plots.FOUR_BIT,
        fp32=plots.FP32,
        activations=outcome.four_bit.history.codes["inputs", 0].fmt.name,
        gradients=f"radix-{_gradient_format(outcome).radix} log FP4",
        headline="".join(_row(row) for row in outcome.headline()),
        facts="".join(_row(row) for row in outcome.facts()),
        sections="".join(_section(*section) for section in sections(outcome)),
        versions=escape(", ".join(
            f"{name} {number}" for name, number in outcome.summary()["versions"].items() if number
        )),
    )


def sections(outcome: Outcome) -> list[tuple[str, str, Figure | None]]:
    """Title, text and figure of each section."""
    trainer, backend = outcome.four_bit, outcome.backend
    history, images, labels = trainer.history, trainer.data.test_images, trainer.data.test_labels
    fmt = _gradient_format(outcome)
    wrong = int((history.predicted != labels).sum())
    pixels = trainer.network.quantised[0].codes["inputs"]  # of the latest test
    first = Quantised(pixels.codes[0], pixels.fmt, pixels.scale, pixels.zero_point)
    found_sections: list[tuple[str, str, Figure | None]] = [
        ("Learning curves", "", plots.curves(history, outcome.fp32.history)),
        ("What it gets wrong",
         f"{wrong} of {len(labels)} test images end off the diagonal.",
         plots.confusion(labels, history.predicted)),
        ("An image at 4 bits",
         f"The first test image, a {labels[0]}; the 4-bit network reads a {history.predicted[0]}.",
         plots.image(images[0], first)),
        ("How the 16 codes are used",
         "Shares over the last epoch. The seven magnitudes of radix "
         f"{fmt.radix} reach from {Fraction(fmt.unit())} to {fmt.TOP:g}; smaller gradients "
         "round to 0 or to the smallest.",
         plots.histograms(history)),
        ("Adaptive gradient scale", *_gradient_scale(outcome)),
    ]
    if backend.cycles:
        text = ("Cycles of the simulated core, by phase. "
                f"Utilisation is {outcome.utilisation_means}.")
        found_sections.append(("Where the cycles go", text, plots.phases(backend)))
    else:
        text = ("The golden model computes the same bits but has no clock: "
                "train on the RTL (make run BACKEND=rtl) for cycles and utilisation.")
        found_sections.append(("Where the cycles go", text, None))
    return found_sections


def _gradient_format(outcome: Outcome) -> LogFormat:
    fmt = outcome.four_bit.history.codes["gradients", 0].fmt
    return as_instance("format of the gradients", fmt, LogFormat)


def _gradient_scale(outcome: Outcome) -> tuple[str, Figure]:
    trainer = outcome.four_bit
    if isinstance(trainer.network.quantised[0].quantise_gradient, Luq):
        text = ("The scale that the core solved at each step, from the first, so that the step's "
                "largest gradient falls on the top level, 64.")
    else:
        text = ("One power of two per layer, doubled or halved after each step so that the largest "
                "gradient comes to lie within 32 to 64. It starts at 1; the first point is what "
                "the first step made of it. It rises as the errors shrink.")
    return text, plots.log2_scales(trainer.history)


def _section(title: str, text: str, figure: Figure | None) -> str:
    parts = [f"<h2>{escape(title)}</h2>"]
    if text:
        parts.append(f"<p>{escape(text)}</p>")
    if figure is not None:
        parts.append(f'<img alt="{escape(title)}" style="width: {plots.page_share(figure):.0%}" '
                     f'src="{plots.data_uri(figure)}">')
    return "\n".join(parts) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    first, *rest = map(escape, cells)
    return f"<tr><th>{first}</th>" + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>\n"
