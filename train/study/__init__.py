# SPDX-License-Identifier: Apache-2.0
"""Which recipe trains best: real data that installs with packages."""
