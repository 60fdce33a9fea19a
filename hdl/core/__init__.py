# SPDX-License-Identifier: Apache-2.0
"""The core around the engine: registers, descriptors, buffers, and their order."""
