# SPDX-License-Identifier: Apache-2.0
"""Proofs on the netlist of the RTL: `python -m verif.formal`."""
