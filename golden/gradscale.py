# SPDX-License-Identifier: Apache-2.0
"""GradScale ([Sun20] 3.2): one power-of-two scale per layer, adapted to the largest gradient."""

from dataclasses import dataclass

from golden import checks
from golden.formats import LogFormat


@dataclass
class GradScale:
    """Scale `2**exponent` of a layer's gradients.

    Members
    -------
    exponent : initial exponent, 0 unless given; ValueError outside `LIMIT`.
    limited : sticky flag, set when an update ran into `LIMIT`.
    """

    exponent: int = 0
    limited: bool = False

    LIMIT = 40  # exponents stay in -LIMIT..LIMIT

    def __post_init__(self):
        checks.integer(self, "exponent", -self.LIMIT, self.LIMIT)
        checks.flag(self, "limited")

    @property
    def value(self) -> float:
        return 2.0**self.exponent

    def update(self, largest: float) -> None:
        """Adapt to `largest` = max|g * scale|, measured before quantising.

        Keep where 32 < largest <= 64, double below, halve above; 0 (no gradient) keeps.
        """
        largest = checks.as_real("largest gradient", largest, checks.NOT_NEGATIVE)
        if largest == 0 or LogFormat.TOP / 2 < largest <= LogFormat.TOP:
            return
        wanted = self.exponent + (1 if largest <= LogFormat.TOP / 2 else -1)
        self.exponent = max(-self.LIMIT, min(self.LIMIT, wanted))
        self.limited |= self.exponent != wanted
