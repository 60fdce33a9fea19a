# SPDX-License-Identifier: Apache-2.0
"""Flush-to-zero switched on by another library: the same bits, or an error, but no wrong ones."""

import os
import subprocess
import sys

import pytest

from golden.flushing import check_kept, flushing
from tools.cache import ROOT


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("flush") / "libflush.so"
    subprocess.run([os.environ.get("CXX", "g++"), "-O0", "-shared", "-fPIC", "-o", str(path),
                    str(ROOT / "verif/golden/flush.cpp")], check=True)
    return path


@pytest.mark.parametrize("results, operands", [(1, 0), (0, 1), (1, 1)])
def test_golden_is_exact_or_says_so(library, results, operands):
    done = subprocess.run([sys.executable, "-m", "verif.golden.flushed", str(library),
                           str(results), str(operands)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same, refused = map(int, done.stdout.split())
    assert same > 300 and refused > 100  # ordinary numbers pass, tiny ones are refused


def test_nothing_is_refused_without():
    assert not flushing()
    check_kept("x", [5e-324, 0.0, 1e-310])
