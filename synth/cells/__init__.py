# SPDX-License-Identifier: Apache-2.0
"""Standard cells: designs, recipes, mapping, timing, and the sweep of all of them."""
