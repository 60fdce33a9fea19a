# SPDX-License-Identifier: Apache-2.0
"""`Quantised`: codes + scale + zero point (integer formats) or phase (log FP4)."""

from dataclasses import dataclass

import numpy as np

from golden import checks, logfp4
from golden.flushing import SOUND, check_kept
from golden.formats import (
    CODE_FORMATS,
    HOST_ZERO_POINT,
    IntFormat,
    LogFormat,
    Phase,
    as_format,
    check_codes,
)


@dataclass(frozen=True, eq=False)
class Quantised:
    """A 4-bit tensor, `x ~ scale * (code - zero_point)` or `x ~ scale * value(code, phase)`.

    Members
    -------
    codes : integer array of any shape; two's complement values for INT4, 0..15 for the others.
    fmt : INT4, INT4_SYM, UINT4, FP4_R4 or FP4_R2.
    scale : float >= 0.
    zero_point : +/-(2**53 - 15), where float64 is exact; integer formats only, 0 for the others.
    phase : Phase, log formats only.

    ValueError that names the member otherwise.
    """

    codes: np.ndarray
    fmt: IntFormat | LogFormat
    scale: float
    zero_point: int = 0
    phase: Phase = Phase.EVEN

    def __post_init__(self):
        as_format("fmt", self.fmt, CODE_FORMATS)
        check_codes("codes", self.codes, self.fmt)
        checks.put(self, "codes", np.asanyarray(self.codes))
        checks.real(self, "scale", checks.NOT_NEGATIVE)
        checks.integer(self, "zero_point", -HOST_ZERO_POINT, HOST_ZERO_POINT)
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
