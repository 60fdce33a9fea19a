# SPDX-License-Identifier: Apache-2.0
"""Marks of tests that need a program which is no Python package: without it they are skipped, and
pytest says so at its end. `.ci/run` installs all of them."""

import shutil

import pytest

from driver.c_example import c_compiler
from tools.errors import ToolError
from tools.verilator import check_fst_headers


def _has_fst() -> bool:
    try:
        check_fst_headers()
    except ToolError:
        return False
    return True


needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="apt install iverilog")
needs_c = pytest.mark.skipif(not shutil.which(c_compiler()), reason="apt install gcc")
needs_sta = pytest.mark.skipif(not shutil.which("sta"), reason="OpenSTA: apt install opensta")
needs_router = pytest.mark.skipif(not shutil.which("qrouter"), reason="apt install qrouter")
needs_fst = pytest.mark.skipif(not _has_fst(), reason="apt install liblz4-dev zlib1g-dev")
