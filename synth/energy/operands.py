# SPDX-License-Identifier: Apache-2.0
"""Operands of a training run, in the order in which multiply-accumulators get them.

A network with three layers learns digits at 4 bits and, from the same weights and samples, in
FP32. In the middle of training the three GEMMs of the hidden layer are recorded, whose M, N and K
are all `SIZE`: so all three have equal weight, and none is ragged.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from golden.config import Config, preset
from golden.engine import GoldenBackend, Job
from golden.formats import FORMATS, IntFormat, LogFormat
from synth.cells.designs import GEMMS
from tools.cache import ROOT, cached, digest
from train.digits.data import CLASSES, PIXELS, Digits, digits
from train.digits.seeds import trainers
from train.digits.trainer import Schedule, Trainer
from train.network.layers import FloatDense
from train.network.mlp import Network

SIZE = 256
SEED = 0
SCHEDULE = Schedule(sizes=(PIXELS, SIZE, SIZE, CLASSES), batch=SIZE, epochs=20)
MIDDLE = SCHEDULE.epochs // 2  # the epoch whose first step is recorded
HIDDEN = 1  # the layer


@dataclass(frozen=True, eq=False)
class Gemm:
    """One GEMM, a (M, K) times b (N, K): codes with their formats, and the FP32 network's values.

    `b_is_gradient` : of the loss, else a weight.
    """

    a: np.ndarray
    a_fmt: IntFormat
    b: np.ndarray
    b_fmt: IntFormat | LogFormat
    a_float: np.ndarray
    b_float: np.ndarray
    b_is_gradient: bool


class Recorder(GoldenBackend):
    """Keeps the first job of the hidden layer's size of each phase, once `recording`."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.recording, self.jobs = False, {}

    def run(self, job: Job):
        if self.recording and job.shape == (SIZE, SIZE, SIZE):
            self.jobs.setdefault(job.phase, job)
        return super().run(job)


class Observed(FloatDense):
    """Keeps the first operands of its three GEMMs, once `recording`."""

    recording, operands = False, None

    def backward(self, g, propagate):
        if self.recording and self.operands is None:
            dy = g * (self._y > 0) if self.relu else g
            x, w = self._x.copy(), self.weight.value.copy()
            self.operands = {"fprop": (x, w), "dgrad": (w.T, dy), "wgrad": (x.T, dy.T)}
        return super().backward(g, propagate)


def gemms(quant: str = "adaptive") -> dict[str, Gemm]:
    """The recorded GEMMs of a quantisation, by phase."""
    sources = [path for folder in ("golden", "train", "synth/baselines")
               for path in sorted((ROOT / folder).rglob("*.py"))]
    key = digest(*(path.read_bytes() for path in (*sources, Path(__file__))), np.__version__,
                 quant)
    folder = cached("operands", key, ["operands.npz"], partial(_make, quant))
    with np.load(folder / "operands.npz") as found:
        return {phase: Gemm(
            found[f"{phase}_a"], FORMATS[str(found[f"{phase}_a_fmt"])],
            found[f"{phase}_b"], FORMATS[str(found[f"{phase}_b_fmt"])],
            found[f"{phase}_a_float"], found[f"{phase}_b_float"], phase != "fprop")
            for phase in GEMMS}


def _make(quant: str, folder: Path) -> None:
    four_bit, twin = record(SCHEDULE, MIDDLE, quant)
    arrays = {}
    for phase in GEMMS:
        job = four_bit[phase]
        arrays |= {f"{phase}_a": job.a, f"{phase}_a_fmt": job.a_fmt.name,
                   f"{phase}_b": job.b, f"{phase}_b_fmt": job.b_fmt.name,
                   f"{phase}_a_float": twin[phase][0], f"{phase}_b_float": twin[phase][1]}
    np.savez_compressed(folder / "operands.npz", **arrays)


def record(schedule: Schedule, middle: int, quant: str = "adaptive",
           ) -> tuple[dict[str, Job], dict[str, tuple]]:
    """Train to the first step of epoch `middle`: the jobs, and the FP32 network's operands."""
    recorder = Recorder(preset("base"))
    four_bit, fp32 = trainers(SEED, recorder, schedule, quant)
    whole = _whole_batches(digits(SEED), schedule.batch)
    layers = [Observed(layer.weight, layer.bias, layer.relu) for layer in fp32.network.layers]
    twin = Network(layers, fp32.network.encode, fp32.network.encode_loss)
    pair = Trainer(four_bit.network, whole, schedule, SEED), Trainer(twin, whole, schedule, SEED)
    for epoch in range(middle + 1):
        recorder.recording = layers[HIDDEN].recording = epoch == middle
        for trainer in pair:
            trainer.epoch(epoch)
    return recorder.jobs, layers[HIDDEN].operands


def _whole_batches(data: Digits, batch: int) -> Digits:
    count = len(data.train_labels) // batch * batch
    return Digits(data.train_images[:count], data.train_labels[:count], data.test_images,
                  data.test_labels)


@dataclass(frozen=True, eq=False)
class Beat:
    """One cycle of a tile: codes a (rows, lanes) and b (cols, lanes)."""

    a: np.ndarray
    b: np.ndarray
    first: bool
    last: bool


def beats(gemm: Gemm, config: Config) -> list[Beat]:
    """What the engine feeds a tile: blocks of columns, then of rows, beats along K in each."""
    steps = range(0, gemm.a.shape[1], config.lanes)
    return [Beat(gemm.a[m:m + config.rows, k:k + config.lanes],
                 gemm.b[n:n + config.cols, k:k + config.lanes], k == 0, k == steps[-1])
            for m in range(0, gemm.a.shape[0], config.rows)
            for n in range(0, gemm.b.shape[0], config.cols)
            for k in steps]


def turns(gemm: Gemm, config: Config, interleave: int) -> list[tuple[int, int, int]]:
    """The row m, column n and first k of each cycle of the grid's first unit, of so many lanes.

    It does the first output of every block of the grid. The sums in rotation are of neighbouring
    blocks, so that operand a stays while they take turns, which saves energy.
    """
    columns = range(0, gemm.b.shape[0], config.cols)
    return [(m, n, k)
            for m in range(0, gemm.a.shape[0], config.rows)
            for start in range(0, len(columns) - interleave + 1, interleave)
            for k in range(0, gemm.a.shape[1], config.lanes)
            for n in columns[start:start + interleave]]
