# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulators in established formats, to compare the core's tile with."""
