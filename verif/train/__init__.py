# SPDX-License-Identifier: Apache-2.0
"""Quantisers, networks and the programs that train them."""
