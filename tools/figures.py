# SPDX-License-Identifier: Apache-2.0
"""The look of every figure: sizes, colours that the colour-blind can tell apart, axes and ticks."""

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    ScalarFormatter,
)

# Okabe and Ito's palette: its colours stay apart in every common form of colour blindness.
BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE, BLACK, YELLOW = "#56b4e9", "#cc79a7", "#000000", "#f0e442"
# of Tol's palette: for lines, since yellow ones drown in white
WINE, OLIVE = "#882255", "#999933"
INK, GRID, MUTED = "#212529", "#dee2e6", "#5c636a"
WIDE, NARROW = 9.0, 4.1  # inches: a page on a desk, and one on a phone, where text keeps its size
DENSITIES = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))


def narrow(width: float) -> bool:
    """Whether a figure so wide (inches) is the phone's: parts stand below each other."""
    return width < (WIDE + NARROW) / 2


def grid(width: float, height: float, rows: int = 1, columns: int = 1, **kwargs):
    """The figure and its (rows, columns) array of axes; `height` in inches."""
    figure = Figure(figsize=(width, height),
                    layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    every = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for axes in every.flat:
        axes.grid(color=GRID, lw=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GRID)
        axes.tick_params(which="both", colors=INK, labelsize=8.5, length=0)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
    return figure, every


def legend(figure: Figure, axes: Axes, columns: int, handles=None) -> None:
    """The legend of `axes`, or of `handles`, above the whole figure, where it hides no data."""
    figure.legend(handles=handles or axes.get_legend_handles_labels()[0], ncols=columns,
                  loc="outside upper center", frameon=False, fontsize=8.5, handlelength=2.8)


def linear(axis: Axis, ticks: int = 6, integer: bool = False) -> None:
    """Plain numbers, as many digits as tell neighbours apart, no offset or power of ten aside."""
    axis.set_major_locator(MaxNLocator(ticks, integer=integer, steps=[1, 2, 5, 10]))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)


def logarithmic(axis: Axis, ticks: int = 6) -> None:
    """A log scale whose ticks are plain numbers, at most `ticks` of them."""
    scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    scale("log")
    axis.set_major_locator(LogTicks(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.axes.autoscale_view()  # the limits so far are those of the locator before


def plain(value: float) -> str:
    """1,000 or 0.025: matplotlib's 2 x 10^-2 takes the room of three such labels."""
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.6g}"


class LogTicks(LogLocator):
    """Ticks of a log axis: a few of every decade, or evenly spaced within one.

    matplotlib's own labels every tenth of a decade of a narrow range, and they run into each other.
    """

    def __init__(self, ticks: int):
        super().__init__(numticks=ticks)
        self.ticks = ticks

    def tick_values(self, vmin, vmax):
        best = np.array([])
        for chosen in DENSITIES:
            self.set_params(subs=chosen)
            found = super().tick_values(vmin, vmax)
            found = found[(found >= vmin) & (found <= vmax)]
            if len(best) < len(found) <= self.ticks:
                best = found
        if len(best) >= (2 if vmax > 10 * vmin else 3):
            return best
        return MaxNLocator(self.ticks - 1, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)

    def nonsingular(self, vmin, vmax):
        """A fifth at least between the ends: noise is no drama, and labels stay short."""
        if 0 < vmin <= vmax < 1.2 * vmin:
            middle = (vmin * vmax) ** 0.5
            return middle / 1.1, middle * 1.1
        return super().nonsingular(vmin, vmax)


def at_least(values: Sequence[float] | np.ndarray, span: float) -> tuple[float, float]:
    """Limits of an axis around `values` that are `span` apart or more: noise is no drama."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, span
    low, high = float(finite.min()), float(finite.max())
    margin = max(0.06 * (high - low), (span - (high - low)) / 2)
    return low - margin, high + margin


def data_uri(figure: Figure) -> str:
    """The figure as an SVG inside a URI: sharp at any size."""
    buffer = io.BytesIO()
    # Without a date and with a salt the same data make the same page.
    with matplotlib.rc_context({"svg.hashsalt": "tetra"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def png(figure: Figure) -> bytes:
    """The figure as a PNG, for what is no page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()
