# SPDX-License-Identifier: Apache-2.0
"""Wrappers of programs that we did not write, and what every program of ours needs."""
