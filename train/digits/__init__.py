# SPDX-License-Identifier: Apache-2.0
"""The program behind `make run`: a 4-bit network learns handwritten digits, FP32 beside it."""
