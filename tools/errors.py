# SPDX-License-Identifier: Apache-2.0
"""What is raised where something outside this repository fails."""


class ToolError(RuntimeError):
    """A tool is missing or failed; the message says what to do."""


class UnfitError(ToolError):
    """A worker whose results would not be this checkout's; the message says what to do."""


class LostError(RuntimeError):
    """A job ended the processes that ran it, again and again."""
