# SPDX-License-Identifier: Apache-2.0
"""The core's way to memory: AXI4 managers that read and write segments of bytes."""
