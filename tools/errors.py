# SPDX-License-Identifier: Apache-2.0
"""What is raised where something outside this repository fails."""


class ToolError(RuntimeError):
    """A tool is missing or failed; the message says what to do."""
