# SPDX-License-Identifier: Apache-2.0
"""What every cocotb bench is made of: runner, streams, stimuli, and the list of benches."""
