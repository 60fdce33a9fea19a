# SPDX-License-Identifier: Apache-2.0
"""Tests of the wrappers and the cache."""
