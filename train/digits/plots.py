# SPDX-License-Identifier: Apache-2.0
"""The report's figures. Each function returns a matplotlib Figure `width` inches wide."""

from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from driver.checked import CheckedBackend
from golden.formats import LogFormat, pack
from golden.logfp4 import decode
from golden.tensor import Quantised
from tools.figures import BLUE, GRID, INK, VERMILION, at_least, grid, legend, linear, logarithmic
from tools.figures import narrow as is_narrow
from train.digits.data import CLASSES, LEVELS
from train.digits.trainer import CodeCounts, History

SIDE = 8  # pixels of a digit
PHASES = ("fprop", "dgrad", "wgrad", "quantise", "table")

STYLE = {"4 bit": {"color": BLUE, "lw": 2.0}, "FP32": {"color": VERMILION, "lw": 2.0, "ls": "--"}}


def curves(four_bit: History, fp32: History, width: float) -> Figure:
    """Training loss and test accuracy per epoch, both networks."""
    figure, axes = _panels(width, 3.2, 2)
    loss, accuracy = axes
    epochs = np.arange(1, len(four_bit.loss) + 1)
    marker = "o" if len(epochs) <= 3 else None  # one epoch has no line, and three hardly any
    shares = {}
    for name, history in (("4 bit", four_bit), ("FP32", fp32)):
        shares[name] = 100 * np.array(history.accuracy)
        loss.plot(epochs, history.loss, marker=marker, label=name, **STYLE[name])
        accuracy.plot(epochs, shares[name], marker=marker, label=name, **STYLE[name])
    loss.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy (nats)")
    logarithmic(loss.yaxis)
    # Of 360 images one is 0.3 %: less than 2 % between top and bottom would blow up chance.
    accuracy.set(title="Test accuracy", xlabel="epoch", ylabel="images right (%)",
                 ylim=at_least(np.concatenate(list(shares.values())), 2.0))
    linear(accuracy.yaxis)
    for each in axes:
        linear(each.xaxis, integer=True)
        if len(epochs) == 1:
            each.set_xticks(epochs)
    legend(figure, loss, 2)
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray, width: float) -> Figure:
    """The 4-bit network's test, (n,) each: true class by row, predicted class by column."""
    figure, every = grid(min(width, 5.0), min(width, 5.0) - 0.3)
    axes = every[0, 0]
    counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    # The root shows single errors beside 36 hits; "none" leaves sharp edges to the browser.
    axes.imshow(np.sqrt(counts), cmap="GnBu", interpolation="none")
    bright = counts > counts.max() / 2
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if bright[row, column] else INK
            axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
    classes = range(len(counts))
    axes.set(xlabel="predicted digit", ylabel="true digit", xticks=classes, yticks=classes)
    axes.grid(False)
    return figure


def image(original: np.ndarray, codes: Quantised, width: float) -> Figure:
    """One digit (64,) in [0, 1] beside its 4-bit codes (64,), the numbers in the pixels."""
    figure, (left, right) = _panels(min(width, 7.2), 3.7, 2)
    levels = np.rint(original * LEVELS).astype(int)
    for axes, values, numbers, title in (
        (left, original, levels, f"original, levels 0..{LEVELS}"),
        (right, codes.dequantise(), codes.codes, f"as the core sees it, {codes.fmt.name}"),
    ):
        axes.imshow(values.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1,
                    interpolation="none")
        for i, (value, number) in enumerate(zip(values, numbers, strict=True)):
            axes.text(i % SIDE, i // SIDE, str(number), ha="center", va="center", fontsize=8,
                      color="white" if value > 0.5 else INK)
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set(visible=True, color=GRID)
    return figure


def histograms(history: History, width: float) -> Figure:
    """Shares of the 16 codes of each layer's tensors over the last epoch."""
    names, layers = ("weights", "inputs", "gradients"), 1 + max(i for _, i in history.codes)
    shape = (layers * len(names), 1) if is_narrow(width) else (layers, len(names))
    figure, every = grid(width, 2.2 * shape[0] + 0.3, *shape)
    for axes, (i, name) in zip(every.flat, ((i, name) for i in range(layers) for name in names),
                               strict=True):
        use = history.codes[name, i]
        _histogram(axes, use)
        what = "pixels" if (name, i) == ("inputs", 0) else name.replace("inputs", "activations")
        axes.set_title(f"layer {i + 1}: {what}, {use.fmt.name}", fontsize=10)
        axes.set_xlabel("value at scale 1 (dgrad)" if name == "gradients" else "code")
    for axes in every[:, 0]:
        axes.set_ylabel("share of values (%)")
    return figure


def log2_scales(history: History, width: float) -> Figure:
    """The scale of each layer's gradients after every step."""
    scales = np.array(history.log2_scales)
    steps, layers = len(scales), scales.shape[1]
    figure, every = grid(width, 0.5 + 1.5 * layers, layers, 1, sharex=True, sharey=True)
    for i, axes in enumerate(every[:, 0]):
        axes.stairs(scales[:, i], np.arange(steps + 1) + 0.5, baseline=None, lw=1.3, color=BLUE)
        axes.set_title(f"layer {i + 1}", fontsize=10)
        axes.set_ylabel("log2(scale)")
        axes.set_ylim(at_least(scales, 3.0))
        linear(axes.yaxis, 4, integer=True)
        linear(axes.xaxis, 5, integer=True)
    every[-1, 0].set_xlabel("training step")
    return figure


def phases(backend: CheckedBackend, width: float) -> Figure:
    """Simulated cycles by phase, and the utilisation of those that multiply."""
    figure, (cycles, busy) = _panels(width, 2.6, 2)
    by_phase = backend.cycles or {}
    names = [name for name in PHASES if by_phase.get(name)]
    gemms = [name for name in names if backend.macs[name]]
    counts = [by_phase[name] / 1e6 for name in names]
    shares = [100 * (backend.utilization(name) or 0.0) for name in gemms]
    for axes, labels, values, text in (
        (cycles, names, counts, "{:.2f}"), (busy, gemms, shares, "{:.0f} %"),
    ):
        bars = axes.barh(labels, values, color=BLUE, height=0.6)
        axes.bar_label(bars, [text.format(v) for v in values], padding=3, fontsize=9)
        axes.margins(x=0.2)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
    cycles.set(title="Cycles", xlabel="simulated clock cycles (millions)")
    busy.set(title="Utilisation", xlabel="multipliers at work (%)", xlim=(0, 115),
             xticks=range(0, 101, 20))
    linear(cycles.xaxis, 5)
    return figure


def causes(cycles: dict[str, int], width: float) -> Figure:
    """Simulated cycles of a core by what it did in them."""
    figure, (axes,) = _panels(width, 2.6, 1)
    total = sum(cycles.values())
    bars = axes.barh(list(cycles), [each / 1e6 for each in cycles.values()], color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{each / total:.0%}" for each in cycles.values()], padding=3, fontsize=9)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(title="Cycles", xlabel="simulated clock cycles (millions)")
    linear(axes.xaxis, 5)
    return figure


def _histogram(axes: Axes, use: CodeCounts) -> None:
    """Bars in the order of the codes' values."""
    fmt, counts, nibbles = use.fmt, use.counts, np.arange(16)
    if isinstance(fmt, LogFormat):
        values = decode(nibbles, fmt)
        nibbles = np.delete(nibbles, 8)  # -0, which no encoder emits
    else:
        values, codes = np.zeros(16), np.arange(fmt.lo, fmt.hi + 1)
        nibbles = pack(codes[:, None])[:, 0]  # without -8, which INT4_SYM has not
        values[nibbles] = codes
    order = nibbles[np.argsort(values[nibbles], kind="stable")]
    axes.bar(range(len(order)), 100 * counts[order] / max(counts.sum(), 1), color=BLUE, width=0.85)
    linear(axes.yaxis, 5)
    axes.grid(axis="x", visible=False)
    labels = [str(Fraction(float(values[n]))) for n in order]  # 1/64 rather than 0.015625
    axes.set_xticks(range(len(order)), labels, fontsize=7,
                    rotation=90 if isinstance(fmt, LogFormat) else 0)


def _panels(width: float, height: float, count: int) -> tuple[Figure, np.ndarray]:
    """`count` axes beside each other, or below each other on a phone; each `height` inches high."""
    shape = (count, 1) if is_narrow(width) else (1, count)
    figure, every = grid(width, height * shape[0], *shape)
    return figure, every.ravel()
