# SPDX-License-Identifier: Apache-2.0
"""The study: its data."""
