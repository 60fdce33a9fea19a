# SPDX-License-Identifier: Apache-2.0
"""Addition of many bits: carry-save, by columns and by rows; squares; serial units."""
