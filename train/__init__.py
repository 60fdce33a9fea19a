# SPDX-License-Identifier: Apache-2.0
"""The program behind `make run`: trains 4-bit networks on handwritten digits and reports."""
