# SPDX-License-Identifier: Apache-2.0
"""`Quantised`: codes + scale + zero point (integer formats) or phase (log FP4)."""

from dataclasses import dataclass

import numpy as np

from golden import checks, logfp4
from golden.flushing import SOUND, check_kept
from golden.formats import IntFormat, LogFormat, Phase, as_format, check_codes


@dataclass(frozen=True, eq=False)
class Quantised:
    """A 4-bit tensor, `x ~ scale * (code - zero_point)` or `x ~ scale * value(code, phase)`.

    Members
    -------
    codes : integer array of any shape; two's complement values for INT4, 0..15 for the others.
    fmt : an IntFormat or a LogFormat.
    scale : float >= 0.
    zero_point : int, integer formats only.
    phase : Phase, log formats only.
    """

    codes: np.ndarray
    fmt: IntFormat | LogFormat
    scale: float
    zero_point: int = 0
    phase: Phase = Phase.EVEN

    def __post_init__(self):
        checks.put(self, "codes", np.asanyarray(self.codes))
        as_format("fmt", self.fmt)
        check_codes("codes", self.codes, self.fmt)
        checks.real(self, "scale", checks.NOT_NEGATIVE)
        checks.integer(self, "zero_point", None)
        checks.member(self, "phase", Phase)
        if self.zero_point and isinstance(self.fmt, LogFormat):
            raise ValueError(
                f"zero_point = {self.zero_point} with {self.fmt.name}: only integer formats have "
                "one, use 0"
            )

    @property
    def mac_scale(self) -> float:
        """Value of one unit of the MAC's integers for this tensor."""
        check_kept("scale", self.scale, SOUND)
        if isinstance(self.fmt, LogFormat):
            return self.scale * self.fmt.unit(self.phase)
        return self.scale

    @property
    def T(self) -> "Quantised":  # noqa: N802 - numpy's own name for a transpose
        return Quantised(self.codes.T, self.fmt, self.scale, self.zero_point, self.phase)

    def dequantise(self) -> np.ndarray:
        """The tensor as float64."""
        check_kept("scale", self.scale, SOUND)
        if isinstance(self.fmt, LogFormat):
            return self.scale * logfp4.decode(self.codes, self.fmt, self.phase)
        return self.scale * (self.codes.astype(np.float64) - self.zero_point)
