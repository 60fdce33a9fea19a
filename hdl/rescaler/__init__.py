# SPDX-License-Identifier: Apache-2.0
"""The rescaling unit: product, rounding, random words."""
