# SPDX-License-Identifier: Apache-2.0
"""What is rounded to four bits, and how: a frozen `Policy`, one `Role` per operand of a GEMM."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from golden import checks
from golden.formats import (
    FP4_R2,
    FP4_R4,
    INT4,
    INT4_SYM,
    UINT4,
    LogFormat,
    Phase,
)


@dataclass(frozen=True)
class FloatFormat:
    """A floating-point format of torch, for what is not rounded to four bits."""

    name: str


@dataclass(frozen=True)
class EmulatedLog:
    """A log format of a radix that no core has, its seven levels below the same top as a
    `LogFormat`'s: to measure that another radix is worse, with products in float32."""

    name: str
    radix: int

    hi = LogFormat.TOP

    def unit(self, phase: Phase = Phase.EVEN) -> float:
        """Value of the lowest level for a tensor of scale 1; it has no other phase."""
        return self.hi / self.radix ** (LogFormat.LEVELS - 1)


FP32, BF16 = FloatFormat("FP32"), FloatFormat("BF16")
FP4_R10 = EmulatedLog("FP4_R10", 10)
ROLE_FORMATS = {f.name: f for f in (INT4, INT4_SYM, UINT4, FP4_R4, FP4_R2, FP4_R10, FP32, BF16)}


class Rounding(Enum):
    """How a value between two codes becomes one of them."""

    NEAREST = "nearest"
    STOCHASTIC = "stochastic"


class Clip(Enum):
    """What the top code stands for."""

    MAX = "max"  # the largest magnitude
    SAWB = "sawb"  # SAWB's alpha, from the first two moments; of UINT4 14 / 15 of the range is that
    BY_SIGN = "by_sign"  # of an input: SAWB where there are signs, learned where there are none
    LEARNED = "learned"  # a parameter of the layer, which the optimizer moves
    FROM_SAWB = "from_sawb"  # likewise, and where an input has signs it starts with SAWB's alpha
    PACT = "pact"  # likewise, with the gradient of Choi et al.: of an input alone
    GRADSCALE = "gradscale"  # a power of two that follows the largest magnitude, [Sun20] 3.2


class Rival(Enum):
    """Somebody else's recipe in four bits, see `train.pytorch.rivals`."""

    MXFP4 = "mxfp4"
    NVFP4 = "nvfp4"


class Axis(Enum):
    """What shares a scale; rows and columns of (tokens, features), of weights (out, in)."""

    TENSOR = "tensor"
    ROW = "row"
    COLUMN = "column"


class When(Enum):
    """Which step's statistics make the scale."""

    EXACT = "exact"  # this one's: the tensor is measured before it is rounded
    HINDSIGHT = "hindsight"  # the one's before, so that one pass is enough


@dataclass(frozen=True)
class Role:
    """How one operand of a GEMM becomes codes.

    Members
    -------
    fmt : of golden.formats, or FP32 or BF16 of this module; its name will do.
    clip, axis, rounding, when : see there; their values ("max", "row", ...) will do.
    phase : of FP4_R4, "even" or "odd".
    """

    fmt: Any = FP32
    clip: Any = Clip.MAX
    axis: Any = Axis.TENSOR
    rounding: Any = Rounding.NEAREST
    when: Any = When.EXACT
    phase: Any = Phase.EVEN

    def __post_init__(self):
        fmt = self.fmt if not isinstance(self.fmt, str) else ROLE_FORMATS[
            checks.as_choice("fmt", self.fmt, ROLE_FORMATS)]
        if fmt not in ROLE_FORMATS.values():
            raise ValueError(f"fmt = {checks.shown(fmt)}: expected one of "
                             f"{', '.join(ROLE_FORMATS)}")
        checks.put(self, "fmt", fmt)
        for name, kind in (("clip", Clip), ("axis", Axis), ("rounding", Rounding), ("when", When)):
            checks.put(self, name, _member(name, getattr(self, name), kind))
        phases = {"even": Phase.EVEN, "odd": Phase.ODD}
        phase = phases.get(self.phase, self.phase) if isinstance(self.phase, str) else self.phase
        checks.put(self, "phase", checks.as_member("phase", phase, Phase))
        if self.phase == Phase.ODD and self.fmt != FP4_R4:
            raise ValueError(f"phase = odd with {fmt.name}: only FP4_R4 has two phases")
        if self.axis != Axis.TENSOR and self.clip in (Clip.SAWB, Clip.GRADSCALE):
            raise ValueError(f"clip = {self.clip.value} with axis = {self.axis.value}: it is one "
                             "number per tensor; use clip = max or learned")
        if self.axis != Axis.TENSOR and self.when == When.HINDSIGHT:
            raise ValueError(f"when = hindsight with axis = {self.axis.value}: the rows of a step "
                             "are not those of the step before; use exact")
        if self.learns and isinstance(self.fmt, LogFormat | EmulatedLog):
            raise ValueError(f"clip = {self.clip.value} with a gradient's format: nothing could "
                             "learn it")

    @property
    def coded(self) -> bool:
        """Whether the operand is four-bit codes."""
        return not isinstance(self.fmt, FloatFormat)

    @property
    def learns(self) -> bool:
        """Whether the clip is, or may be, a parameter of the layer."""
        return self.clip in (Clip.LEARNED, Clip.FROM_SAWB, Clip.PACT, Clip.BY_SIGN)


def _member(name: str, value: Any, kind: type[Enum]) -> Enum:
    if isinstance(value, kind):
        return value
    choices = {member.value: member for member in kind}
    return choices[checks.as_choice(name, value, choices)]


@dataclass(frozen=True)
class Policy:
    """How the three GEMMs of every converted layer compute.

    Members
    -------
    name : for tables and errors.
    input, weight : operands of fprop; dgrad takes the same weights, wgrad the same inputs. An input
        in a symmetric format is UINT4 instead where the first batch has nothing below 0.
    dgrad, wgrad : the gradient of the output (tokens, features), as each of the two takes it.
    edges : whether the first and the last convertible layer are converted too.
    attention : whether attention's products, query by key and weights by value, are converted too.
    rival : "mxfp4" or "nvfp4": the GEMMs follow that recipe, and no operand has a role.

    ValueError where codes cannot be multiplied: a scale must be constant along what a GEMM sums
    over, integers come from `input` and `weight`, and gradients are FP4 or integers.
    """

    name: str
    input: Role = Role()
    weight: Role = Role()
    dgrad: Role = Role()
    wgrad: Role = Role()
    edges: bool = False
    attention: bool = False
    rival: Any = None

    def __post_init__(self):
        checks.instance(self, "name", str)
        checks.flag(self, "edges", "attention")
        # the axis that the GEMM sums over is the columns', or in wgrad the rows'
        for name, axis in (("input", Axis.ROW), ("weight", Axis.ROW), ("dgrad", Axis.ROW),
                           ("wgrad", Axis.COLUMN)):
            role = checks.as_instance(name, getattr(self, name), Role)
            if role.axis not in (Axis.TENSOR, axis):
                raise ValueError(
                    f"{name}.axis = {role.axis.value}: the GEMM sums along what would have "
                    f"different scales; use tensor or {axis.value}")
            if name in ("input", "weight"):
                if isinstance(role.fmt, LogFormat | EmulatedLog):
                    raise ValueError(f"{name}.fmt = {role.fmt.name}: the multiplier takes it as a "
                                     "gradient only; use INT4, INT4_SYM or UINT4")
                if role.clip == Clip.GRADSCALE:
                    raise ValueError(f"{name}.clip = gradscale: it is for gradients; use max, "
                                     "sawb or learned")
            elif role.fmt == UINT4 or role.clip == Clip.SAWB or role.learns:
                raise ValueError(f"{name} = {role}: a gradient is FP4_R2, FP4_R4, FP4_R10, INT4 or "
                                 "INT4_SYM, with clip = max or gradscale")
            if self.rival is not None and role != Role():
                raise ValueError(f"{name} = {role} with rival = {checks.shown(self.rival)}: the "
                                 "recipe says how operands are rounded; leave the role out")
        if self.input.learns and self.input.axis != Axis.TENSOR:
            raise ValueError(f"input.axis = {self.input.axis.value} with clip = "
                             f"{self.input.clip.value}: tokens are others in every step; use "
                             "tensor, or clip = max")
        if self.weight.clip in (Clip.PACT, Clip.BY_SIGN, Clip.FROM_SAWB):
            raise ValueError(f"weight.clip = {self.weight.clip.value}: it is for inputs; use sawb "
                             "or learned")
        if self.weight.fmt == UINT4:
            raise ValueError("weight.fmt = UINT4: weights have signs; use INT4 or INT4_SYM")
        if self.rival is not None:
            checks.put(self, "rival", _member("rival", self.rival, Rival))

    @property
    def emulated(self) -> bool:
        """Whether no core computes this, only floats that stand for its numbers."""
        roles = (self.input, self.weight, self.dgrad, self.wgrad)
        return self.rival is not None or any(isinstance(r.fmt, EmulatedLog) for r in roles)

    def but(self, **changes: Any) -> "Policy":
        """This policy with other members."""
        return replace(self, **changes)


LEARNED_INPUT = Role(INT4_SYM, Clip.LEARNED)
SAWB_WEIGHT = Role(INT4_SYM, Clip.SAWB)
LUQ_GRADIENT = Role(FP4_R2, Clip.MAX, rounding=Rounding.STOCHASTIC)

POLICIES = {policy.name: policy for policy in (
    Policy("fp32"),
    Policy("bf16", *(Role(BF16),) * 4, edges=True, attention=True),
    Policy("int4_forward", LEARNED_INPUT, SAWB_WEIGHT),
    Policy("sun2020", LEARNED_INPUT, SAWB_WEIGHT,
           Role(FP4_R4, Clip.GRADSCALE), Role(FP4_R4, Clip.GRADSCALE, phase=Phase.ODD)),
    Policy("luq", LEARNED_INPUT, SAWB_WEIGHT, LUQ_GRADIENT, LUQ_GRADIENT),
    # docs/recipe.md says why: no measuring pass, no scale but the tensor's
    Policy("tetra", Role(INT4_SYM, Clip.BY_SIGN, when=When.HINDSIGHT), SAWB_WEIGHT,
           *(replace(LUQ_GRADIENT, when=When.HINDSIGHT),) * 2),
    Policy("mxfp4", rival=Rival.MXFP4),
    Policy("nvfp4", rival=Rival.NVFP4),
)}


def policy(name: str) -> Policy:
    """The policy called `name`; ValueError that lists the names otherwise."""
    return POLICIES[checks.as_choice("policy", name, POLICIES)]

