# SPDX-License-Identifier: Apache-2.0
"""Synthesis: what the blocks cost."""
