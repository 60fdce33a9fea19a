# SPDX-License-Identifier: Apache-2.0
"""What leaves the Python world: Verilog, its manifest, and the files of `make verilog`."""
