# SPDX-License-Identifier: Apache-2.0
"""The specification that runs: number formats, rounding, GEMM, rescaling, layers, optimizer."""
