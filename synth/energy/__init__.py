# SPDX-License-Identifier: Apache-2.0
"""Energy per multiply-accumulate: recorded operands through simulated cells."""
