# SPDX-License-Identifier: Apache-2.0
"""Command line arguments that several programs take."""

import argparse


def positive(text: str) -> int:
    """An integer from 1, for `argparse`; ArgumentTypeError that names the value otherwise."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range: expected an integer from 1")
    return int(text)
