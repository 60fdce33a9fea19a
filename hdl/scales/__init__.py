# SPDX-License-Identifier: Apache-2.0
"""Scales that adapt: statistics, solver, table, and the unit that joins them."""
