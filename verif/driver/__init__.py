# SPDX-License-Identifier: Apache-2.0
"""The verilated engine and what wraps it, against the golden model."""
