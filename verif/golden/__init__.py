# SPDX-License-Identifier: Apache-2.0
"""The golden model against oracles that share no code with it."""
