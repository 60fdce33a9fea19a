# SPDX-License-Identifier: Apache-2.0
"""The MAC tile: multiplier, dot product, cell, tile."""
