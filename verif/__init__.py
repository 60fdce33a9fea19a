# SPDX-License-Identifier: Apache-2.0
"""Everything that compares the golden model with the RTL."""
