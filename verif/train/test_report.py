# SPDX-License-Identifier: Apache-2.0
"""The figures of `make run` stay legible for runs of any length and any luck."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from driver.checked_core import CAUSES
from golden.formats import FP4_R2, FP4_R4, INT4_SYM, UINT4
from golden.tensor import Quantised
from train.digits import plots
from train.digits.trainer import CodeCounts, History
from verif.pages import check_figure

FLAT = [0.9444] * 3
NARROW = [0.9444, 0.9472, 0.9444]


def history(loss, accuracy, scales=((1.0, 2.0),), gradients=FP4_R4) -> History:
    found = History()
    found.loss, found.accuracy = list(loss), list(accuracy)
    found.log2_scales = [list(row) for row in scales]
    counts = np.arange(16)
    for layer in range(2):
        for name, fmt in (("weights", INT4_SYM), ("inputs", UINT4), ("gradients", gradients)):
            found.codes[name, layer] = CodeCounts(fmt, counts)
    return found


@pytest.mark.parametrize("loss, accuracy", [
    ([2.3026], [0.1]), ([2.3026] * 3, FLAT), ([2.30259, 2.30258, 2.30257], NARROW),
    ([0.66, 0.2, 0.07], [0.91, 0.94, 0.96]), ([2.4, 1.8, 1.3], [0.3, 0.7, 0.74]),
    ([1.0, 1e-3, 1e-6], [0.1, 1.0, 1.0]), (np.geomspace(2, 0.01, 1000), np.linspace(0.1, 1, 1000)),
    ([0.5, float("nan")], [0.5, 0.1]), ([float("nan")] * 2, [0.1] * 2),
], ids=lambda data: f"{data[0]:.3g}..{data[-1]:.3g}")
def test_curves(loss, accuracy):
    one = history(loss, accuracy)
    check_figure(partial(plots.curves, one, one))


@pytest.mark.parametrize("scales", [
    [(0.0, 0.0)], [(7.0, 7.0)] * 9, [(7.2, 6.0), (7.4, 6.1)],
    [(float(i % 9), 12.0) for i in range(135)], [(float(-i), float(i)) for i in range(12_000)],
], ids=lambda scales: f"{len(scales)} steps to {scales[-1]}")
def test_scales(scales):
    check_figure(partial(plots.log2_scales, history([1.0], [0.5], scales)))


@pytest.mark.parametrize("gradients", [FP4_R2, FP4_R4], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("counts", [np.arange(16), np.ones(16, int), np.zeros(16, int)],
                         ids=["ramp", "flat", "none"])
def test_histograms(counts, gradients):
    found = history([1.0], [0.5], gradients=gradients)
    for use in found.codes.values():
        use.counts = counts
    check_figure(partial(plots.histograms, found))


def test_pictures_of_digits():
    digits = np.arange(10)
    check_figure(partial(plots.confusion, digits, digits))
    check_figure(partial(plots.confusion, digits, np.zeros(10, int)))
    codes = Quantised(np.arange(64) % 16, UINT4, 1 / 15, 0)
    check_figure(partial(plots.image, np.arange(64) / 63, codes))


@pytest.mark.parametrize("cycles", [
    {"fprop": 1}, {"fprop": 12_920_000, "dgrad": 4_000, "wgrad": 900_000, "quantise": 2_000_000},
    dict.fromkeys(plots.PHASES, 3_000_000)], ids=len)
def test_phases(cycles):
    backend = SimpleNamespace(cycles=cycles, macs=dict.fromkeys(plots.PHASES, 1),
                              utilization=lambda name: 1.0)
    check_figure(partial(plots.phases, backend))


@pytest.mark.parametrize("cycles", [
    (1, 0, 0, 0, 0, 0, 0), (447_000, 700_000, 3, 9, 1, 4_500_000, 0), (10**9,) * 7], ids=sum)
def test_causes(cycles):
    names = (*CAUSES.values(), "rounding, storing", "host")
    check_figure(partial(plots.causes, dict(zip(names, cycles, strict=True))))
