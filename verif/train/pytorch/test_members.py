# SPDX-License-Identifier: Apache-2.0
"""Members of the front end's and the study's dataclasses, as `verif/train/test_members.py`."""

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from train.pytorch.convert import Conversion
from train.pytorch.policy import EmulatedLog, FloatFormat, Policy, Role
from train.pytorch.rivals import Whole
from train.study.costs import Cost, Estimate
from train.study.datasets import Dataset, Part
from train.study.packages import Package
from train.study.published import Published
from train.study.run import Run
from train.study.tasks import Goal, Task
from verif.golden.members import Case, check_members, public_dataclasses

CASES = [
    Case(Policy, {"name": "mine"}),
    Case(Role, {"fmt": "FP4_R4"}, free=("fmt",)),  # by name or itself, in `test_convert.py`
    Case(Run, {"task": "vowels", "policy": "luq"}),
]
# what a call made, and what is written down once in the source
RESULTS = {Conversion, Cost, Dataset, EmulatedLog, Estimate, FloatFormat, Goal, Package, Part,
           Published, Task, Whole}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.__name__)
def test_members(case):
    check_members(case)


def test_no_dataclass_is_forgotten():
    found = public_dataclasses("train.pytorch") | public_dataclasses("train.study")
    assert found == {case.kind for case in CASES} | RESULTS
