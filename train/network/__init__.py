# SPDX-License-Identifier: Apache-2.0
"""4-bit networks in numpy: layers, activations, the optimizer, and how each scheme quantises."""
