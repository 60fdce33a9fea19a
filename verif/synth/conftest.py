# SPDX-License-Identifier: Apache-2.0
"""What tests of the flow share."""

import pytest

from synth.cells.libraries import NANGATE45, MissingError
from tools import cache


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A cache of its own; skips where there is no library."""
    try:
        _ = NANGATE45.path
    except MissingError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(cache, "CACHE", tmp_path)
