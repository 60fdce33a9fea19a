# SPDX-License-Identifier: Apache-2.0
"""What tests of the flow share."""

import pytest

from tools import cache


@pytest.fixture
def fresh_cache(monkeypatch, tmp_path):
    """A cache of its own."""
    monkeypatch.setattr(cache, "CACHE", tmp_path)
