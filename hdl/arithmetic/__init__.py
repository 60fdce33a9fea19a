# SPDX-License-Identifier: Apache-2.0
"""Sums of many numbers: addends, columns of bits, Booth digits, squares; serial units."""
