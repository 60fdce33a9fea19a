# SPDX-License-Identifier: Apache-2.0
"""The PyTorch front end: `convert(model, policy)` lets a model train in four bits."""
