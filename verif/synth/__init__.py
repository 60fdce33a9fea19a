# SPDX-License-Identifier: Apache-2.0
"""The synthesis flows and the baselines."""
