# SPDX-License-Identifier: Apache-2.0
"""Networks whose tensors lie in a core's memory: a step is a list of descriptors."""
