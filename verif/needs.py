# SPDX-License-Identifier: Apache-2.0
"""Marks of tests that need a program which is no Python package: without it they are skipped, and
pytest says so at its end. `.ci/run` installs all of them."""

import shutil
from pathlib import Path

import pytest

from driver.c_example import c_compiler

needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="apt install iverilog")
needs_c = pytest.mark.skipif(not shutil.which(c_compiler()), reason="apt install gcc")
needs_sta = pytest.mark.skipif(not shutil.which("sta"), reason="OpenSTA: apt install opensta")
needs_fst = pytest.mark.skipif(not Path("/usr/include/lz4.h").exists(), reason="apt install "
                               "liblz4-dev zlib1g-dev")
