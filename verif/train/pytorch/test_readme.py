# SPDX-License-Identifier: Apache-2.0
"""The code of the README and of the page on training does what they say."""

import re

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

from tools.cache import ROOT  # noqa: E402
from train.pytorch.policy import POLICIES, Axis, Clip, When  # noqa: E402


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def test_readme_trains_a_model(capsys):
    [code] = [block for block in blocks("README.md") if "convert(" in block]
    torch.manual_seed(0)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "policy tetra:" in said and "Linear" in said and "converted" in said
    assert float(re.search(r"loss ([\d.]+)", said)[1]) < 0.3  # ln 10 = 2.3 before


def test_policy_of_the_page():
    names: dict = {}
    [code] = [block for block in blocks("docs/training.md") if "mine =" in block]
    exec(compile(code, "training.md", "exec"), names)
    assert names["mine"].edges and names["mine"].wgrad.axis == Axis.COLUMN


def test_table_of_policies():
    page = (ROOT / "docs" / "training.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| .* \|$", page, re.M)
    assert [name for name in listed if name in POLICIES] == list(POLICIES)
    assert POLICIES["tetra"].dgrad == POLICIES["tetra"].wgrad
    assert POLICIES["tetra"].dgrad.when == POLICIES["tetra"].input.when == When.HINDSIGHT
    assert POLICIES["tetra"].input.clip == Clip.BY_SIGN
    assert POLICIES["sun2020"].dgrad.clip == POLICIES["sun2020"].wgrad.clip == Clip.GRADSCALE
