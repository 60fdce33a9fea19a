# SPDX-License-Identifier: Apache-2.0
"""The RTL against the golden model, and its proofs."""
