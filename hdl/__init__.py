# SPDX-License-Identifier: Apache-2.0
"""Tetra's RTL in Amaranth: one file per block, named like its golden twin."""
