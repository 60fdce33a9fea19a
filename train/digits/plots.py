# SPDX-License-Identifier: Apache-2.0
"""The report's figures. Each function returns a matplotlib Figure; `data_uri` embeds it."""

import base64
import io
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from driver.checked import CheckedBackend
from golden.formats import LogFormat, unpack
from golden.logfp4 import decode
from golden.tensor import Quantised
from train.digits.data import CLASSES, LEVELS
from train.digits.trainer import CodeCounts, History

FOUR_BIT, FP32 = "#0b7285", "#e8590c"
INK, GRID = "#212529", "#dee2e6"
WIDTH = 9.0  # inches, every figure the same
SIDE = 8  # pixels of a digit
PHASES = ("fprop", "dgrad", "wgrad", "quantise", "table")

STYLE = {"4 bit": {"color": FOUR_BIT, "lw": 2.0}, "FP32": {"color": FP32, "lw": 2.0, "ls": "--"}}


def page_share(figure: Figure) -> float:
    """Its width as a share of the page's, 0..1, so that text has one size in all figures."""
    return figure.get_figwidth() / WIDTH


def data_uri(figure: Figure) -> str:
    """The figure as a PNG inside a URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def curves(four_bit: History, fp32: History) -> Figure:
    """Training loss and test accuracy per epoch, both networks."""
    figure, (loss, accuracy) = _figure(3.4, 1, 2)
    epochs = np.arange(1, len(four_bit.loss) + 1)
    marker = "o" if len(epochs) == 1 else None  # one epoch has no line
    for name, history in (("4 bit", four_bit), ("FP32", fp32)):
        loss.plot(epochs, history.loss, marker=marker, label=name, **STYLE[name])
        accuracy.plot(epochs, history.accuracy, marker=marker, label=name, **STYLE[name])
    loss.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy (nats)", yscale="log")
    accuracy.set(title="Test accuracy", xlabel="epoch", ylabel="share of images right")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray) -> Figure:
    """The 4-bit network's test, (n,) each: true class by row, predicted class by column."""
    figure, axes = _figure(4.6, 1, 1, width=5.0)
    counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    axes.imshow(np.sqrt(counts), cmap="GnBu")  # the root shows single errors beside 36 hits
    bright = counts > counts.max() / 2
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if bright[row, column] else INK
            axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
    classes = range(len(counts))
    axes.set(title="Confusion, 4 bit, test set", xlabel="predicted digit", ylabel="true digit",
             xticks=classes, yticks=classes)
    axes.grid(False)
    return figure


def image(original: np.ndarray, codes: Quantised) -> Figure:
    """One digit (64,) in [0, 1] beside its 4-bit codes (64,), the numbers in the pixels."""
    figure, (left, right) = _figure(4.6, 1, 2)
    levels = np.rint(original * LEVELS).astype(int)
    for axes, values, numbers, title in (
        (left, original, levels, f"original, levels 0..{LEVELS}"),
        (right, codes.dequantise(), codes.codes, f"as the core sees it, {codes.fmt.name}"),
    ):
        axes.imshow(values.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
        for i, (value, number) in enumerate(zip(values, numbers, strict=True)):
            axes.text(i % SIDE, i // SIDE, str(number), ha="center", va="center", fontsize=8,
                      color="white" if value > 0.5 else INK)
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set(visible=True, color=GRID)
    return figure


def histograms(history: History) -> Figure:
    """Shares of the 16 codes of each layer's tensors over the last epoch."""
    names, layers = ("weights", "inputs", "gradients"), 1 + max(i for _, i in history.codes)
    figure, grid = _figure(2.5 * layers, layers, len(names), squeeze=False)
    for i in range(layers):
        for axes, name in zip(grid[i], names, strict=True):
            use = history.codes[name, i]
            _histogram(axes, use)
            what = "pixels" if (name, i) == ("inputs", 0) else name.replace("inputs", "activations")
            axes.set_title(f"layer {i + 1}: {what}, {use.fmt.name}", fontsize=10)
        grid[i][0].set_ylabel("share of values")
    for axes, label in zip(grid[-1], ("code", "code", "value at scale 1 (dgrad)"), strict=True):
        axes.set_xlabel(label)
    return figure


def log2_scales(history: History) -> Figure:
    """The scale of each layer's gradients after every step."""
    scales = np.array(history.log2_scales)
    steps, layers = np.arange(1, len(scales) + 1), scales.shape[1]
    figure, grid = _figure(0.5 + 1.5 * layers, layers, 1, squeeze=False, sharex=True, sharey=True)
    for i, axes in enumerate(grid[:, 0]):
        axes.plot(steps, scales[:, i], drawstyle="steps-post", lw=1.2, color=FOUR_BIT)
        axes.set_title(f"layer {i + 1}", fontsize=10)
        axes.set_ylabel("log2(scale)")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    grid[-1, 0].set_xlabel("training step")
    return figure


def phases(backend: CheckedBackend) -> Figure:
    """Simulated cycles by phase, and the utilisation of those that multiply."""
    figure, (cycles, busy) = _figure(2.6, 1, 2)
    by_phase = backend.cycles or {}
    names = [name for name in PHASES if by_phase.get(name)]
    gemms = [name for name in names if backend.macs[name]]
    counts = [by_phase[name] / 1e6 for name in names]
    shares = [backend.utilization(name) for name in gemms]
    for axes, labels, values, text in (
        (cycles, names, counts, "{:.2f}"), (busy, gemms, shares, "{:.0%}"),
    ):
        bars = axes.barh(labels, values, color=FOUR_BIT, height=0.6)
        axes.bar_label(bars, [text.format(v) for v in values], padding=3, fontsize=9)
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
    cycles.set(title="Cycles", xlabel="simulated clock cycles (millions)")
    busy.set(title="Utilisation", xlabel="share of MACs at work", xlim=(0, 1))
    busy.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def _histogram(axes: Axes, use: CodeCounts) -> None:
    """Bars in the order of the codes' values."""
    fmt, counts, nibbles = use.fmt, use.counts, np.arange(16)
    if isinstance(fmt, LogFormat):
        values = decode(nibbles, fmt)
        nibbles = np.delete(nibbles, 8)  # -0, which no encoder emits
    else:
        values = unpack(nibbles[:, None], 1, fmt)[:, 0]
    order = nibbles[np.argsort(values[nibbles], kind="stable")]
    axes.bar(range(len(order)), counts[order] / max(counts.sum(), 1), color=FOUR_BIT, width=0.85)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="x", visible=False)
    labels = [str(Fraction(float(values[n]))) for n in order]  # 1/64 rather than 0.015625
    axes.set_xticks(range(len(order)), labels, fontsize=7,
                    rotation=90 if isinstance(fmt, LogFormat) else 0)


def _figure(height: float, rows: int, columns: int, *, width: float = WIDTH, **kwargs):
    figure = Figure(figsize=(width, height),
                    layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    grid = figure.subplots(rows, columns, **kwargs)
    for axes in np.ravel(grid):
        axes.grid(color=GRID, lw=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GRID)
        axes.tick_params(colors=INK, labelsize=9, length=0)
    return figure, grid
