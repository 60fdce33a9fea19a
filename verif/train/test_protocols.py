# SPDX-License-Identifier: Apache-2.0
"""The types of the seams hold: mypy takes what fits a layer and names what does not."""

import os
import subprocess
import sys

import pytest

from tools.cache import ROOT

PRELUDE = """
import numpy as np
from golden.config import preset
from golden.engine import Backend, GoldenBackend
from train.network.activations import Pact, RangedRelu
from train.network.layers import FloatDense, QuantisedDense
from train.network.optimizer import Parameter
from train.network.protocols import Activation, GradientQuantiser, InputQuantiser, WeightQuantiser
from train.quantisers import GradScaled, LogGradient, Luq, RangedInputs, Sawb, SolvedScale
from train.quantisers import SolvedWeights, UnitInterval
from driver.checked import CheckedBackend
from driver.verilated import RtlBackend
backend: Backend = GoldenBackend(preset("base"))
weight, bias = Parameter("w", np.zeros((2, 3))), Parameter("b", np.zeros(2))

def backends(one: RtlBackend, other: CheckedBackend) -> list[Backend]:
    return [one, other]

def quantisers(scale: SolvedScale, rng: np.random.Generator) -> None:
    inputs: list[InputQuantiser] = [UnitInterval(), RangedInputs(scale)]
    weights: list[WeightQuantiser] = [Sawb(), SolvedWeights(scale)]
    gradients: list[GradientQuantiser] = [GradScaled(0), Luq(scale, rng), LogGradient()]
    activations: list[Activation] = [Pact(bias), RangedRelu(scale, 1.0)]
"""


def mypy(path, line: str) -> tuple[int, str]:
    path.write_text(PRELUDE + line)
    done = subprocess.run([sys.executable, "-m", "mypy", str(path)], cwd=ROOT, text=True,
                          env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True)
    return done.returncode, done.stdout + done.stderr


def test_what_fits_is_taken(tmp_path):
    status, output = mypy(tmp_path / "fits.py", "QuantisedDense(backend, weight, bias, Sawb(), "
                          "GradScaled(0), None)")
    assert status == 0, output


@pytest.mark.parametrize("line, text", [
    ("QuantisedDense(backend, weight, bias, GradScaled(0), GradScaled(0), None)",
     'Argument 4 to "QuantisedDense" has incompatible type "GradScaled"; expected "WeightQuant'),
    ("QuantisedDense(backend, weight, bias, Sawb(), Sawb(), None)",
     'Argument 5 to "QuantisedDense" has incompatible type "Sawb"; expected "GradientQuantiser"'),
    ("QuantisedDense(backend, weight, bias, Sawb(), GradScaled(0), Sawb())",
     'Argument 6 to "QuantisedDense" has incompatible type "Sawb"; expected "Activation | None"'),
    ("QuantisedDense(None, weight, bias, Sawb(), GradScaled(0), None)", 'expected "Backend"'),
])
def test_what_does_not_fit_is_named(line, text, tmp_path):
    status, output = mypy(tmp_path / "wrong.py", line)
    assert status == 1 and text in output, output
