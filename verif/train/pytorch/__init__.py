# SPDX-License-Identifier: Apache-2.0
"""The PyTorch front end; `pip install torch` is needed, and without it these tests are skipped."""
