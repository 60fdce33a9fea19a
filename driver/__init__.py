# SPDX-License-Identifier: Apache-2.0
"""The device as software sees it: descriptors, the verilated engine, checked results."""
