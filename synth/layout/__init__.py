# SPDX-License-Identifier: Apache-2.0
"""Layouts: mapped designs placed, routed, checked and timed with their wires (`make layout`)."""
