# SPDX-License-Identifier: Apache-2.0
"""Everything about training: quantisers, networks, and the programs that train them."""
