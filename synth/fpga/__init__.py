# SPDX-License-Identifier: Apache-2.0
"""FPGAs: look-up tables, placed and routed."""
