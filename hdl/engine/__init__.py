# SPDX-License-Identifier: Apache-2.0
"""The engine: job descriptors, and the streams of a job."""
