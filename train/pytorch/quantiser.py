# SPDX-License-Identifier: Apache-2.0
"""A `Quantiser` rounds one operand of a layer's GEMMs and keeps what its scale follows."""

import math
from typing import NamedTuple

import torch
from torch import nn

from golden.formats import INT4_SYM, UINT4, Format, IntFormat, LogFormat
from golden.gradscale import GradScale
from golden.solver import Request, SolveMode, solve
from train.pytorch import kernels
from train.pytorch.execution import Encoding, Execution, derived, dyadic
from train.pytorch.policy import (
    BF16,
    Axis,
    Clip,
    EmulatedLog,
    FloatFormat,
    Role,
    Rounding,
    When,
)

FIXED_BITS = 30  # of a tensor's largest magnitude as an integer: |x| <= 2**30
ALPHA_FLOOR = 2.0**-20


class Operand(NamedTuple):
    """One side of a GEMM, (rows, columns): `unit * values`.

    Members
    -------
    values : float32; of codes in MAC units, of a float format the numbers themselves.
    fmt : of golden.formats, or a FloatFormat.
    unit : float64 of shape () and on the host, or (rows,) where each row has its scale.
    inside : where the gradient of the input passes, bool; None: everywhere.
    """

    values: torch.Tensor
    fmt: Format | FloatFormat
    unit: torch.Tensor
    inside: torch.Tensor | None = None


class OptionalState(nn.Module):
    """A module whose state may be absent from a `state_dict`, that of the float model: then it
    stays as it is, and loading is strict about everything else.

    Its buffers are single numbers that Python reads in every step. They stay on the host and keep
    their dtype wherever the module moves: to read one from a GPU waits for all that runs there."""

    def _apply(self, fn, recurse=True):
        kept = dict(self._buffers)
        super()._apply(fn, recurse)
        self._buffers.update(kept)
        return self

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if any(name.startswith(prefix) for name in state_dict):
            super()._load_from_state_dict(state_dict, prefix, *rest)


class Quantiser(OptionalState):
    """Rounds one operand as its role says.

    Parameters
    ----------
    role : Role. where : the layer's name and the operand's, for errors. rows : of the operand, if
        each has a learned clip. signed : False for an input that may turn out to have no sign.

    Members
    -------
    alpha : the learned clip, a parameter of shape () or (rows,); 0 until the first tensor that is
        not zero everywhere sets it, in training, and where clip = by_sign finds signs for ever.
    top : in hindsight, what the latest step with anything but zeros would have given the format's
        top code to stand for; 0 before. exponent : of GradScale. These and `started` are buffers: a
        resumed run goes on with the same bits.
    """

    top: torch.Tensor
    exponent: torch.Tensor
    started: torch.Tensor
    unsigned: torch.Tensor

    def __init__(self, role: Role, where: str, rows: int = 0, *, signed: bool = True):
        super().__init__()
        self.role, self.where = role, where
        self.may_be_unsigned = not signed and role.fmt == INT4_SYM
        self.alpha: nn.Parameter | None = None
        if role.coded:
            if role.learns and (role.clip != Clip.BY_SIGN or self.may_be_unsigned
                                or role.fmt == UINT4):
                self.alpha = nn.Parameter(torch.zeros(rows if role.axis == Axis.ROW else ()))
            self.register_buffer("started", torch.tensor(False))
            if self.may_be_unsigned:
                self.register_buffer("unsigned", torch.tensor(False))
            if role.when == When.HINDSIGHT:
                self.register_buffer("top", torch.tensor(0.0, dtype=torch.float64))
            if role.clip == Clip.GRADSCALE:
                self.register_buffer("exponent", torch.tensor(0))

    @property
    def fmt(self) -> Format:
        """Of the codes that the operand becomes."""
        assert not isinstance(self.role.fmt, FloatFormat)
        return UINT4 if self.may_be_unsigned and self.unsigned else self.role.fmt

    @property
    def clip(self) -> Clip:
        """The role's, or what that means for this operand."""
        if self.role.clip != Clip.BY_SIGN:
            return self.role.clip
        return Clip.LEARNED if self.fmt == UINT4 else Clip.SAWB

    @property
    def learns(self) -> bool:
        return self.clip in (Clip.LEARNED, Clip.FROM_SAWB, Clip.PACT)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, execution: Execution, key: tuple[int, ...], *,
                frozen: bool) -> Operand:
        """`x` (rows, columns) as an operand.

        `key` names it among all of a run, for its random words. `frozen` leaves everything that is
        kept as it is and rounds to nearest. FloatingPointError if a number is not finite.
        """
        role = self.role
        if not role.coded:
            values = x.bfloat16().float() if role.fmt == BF16 else x
            return Operand(values, role.fmt, torch.ones((), dtype=torch.float64))
        rows = x.abs().amax(1)
        largest = rows.max().item()
        if not largest < float("inf"):
            raise FloatingPointError(f"{largest} in {self.where}, a tensor of shape "
                                     f"{tuple(x.shape)}")
        if largest > 0 and not frozen and not self.started:
            self._start(x, largest)
        bits, fmt = self._bits(largest), self.fmt
        scale = self._scale(x, rows.double() if role.axis != Axis.TENSOR else torch.tensor(
            largest, dtype=torch.float64), bits, fmt, frozen=frozen)
        stochastic = role.rounding == Rounding.STOCHASTIC and not frozen
        to = Encoding(fmt, bits, scale, derived(*key) if stochastic else None, role.phase)
        values, inside = execution.quantise(x, to)
        unit = 2.0**-bits / scale
        if isinstance(fmt, LogFormat | EmulatedLog):
            unit = unit * fmt.unit(role.phase)
        return Operand(values, fmt, unit, inside if self.learns else None)

    def _start(self, x, largest: float) -> None:
        """What the first tensor decides that is not zero everywhere."""
        self.started.fill_(True)
        if self.may_be_unsigned:
            self.unsigned.fill_(bool(x.min() >= 0))
        if self.alpha is not None and self.learns:
            self.alpha.data.copy_(self._first_clip(x))
        if self.role.clip == Clip.GRADSCALE:
            # the exponent at which GradScale would rest: 32 < largest * 2**exponent <= 64
            mantissa, exponent = math.frexp(largest)
            self.exponent.fill_(min(GradScale.LIMIT, max(
                -GradScale.LIMIT, 6 - exponent + (mantissa == 0.5))))

    def _bits(self, largest: float) -> int:
        """Of the integers that are rescaled: as many as let the largest be one."""
        return FIXED_BITS - math.frexp(largest)[1] if largest > 0 else 0

    def _first_clip(self, x) -> torch.Tensor:
        """Where a learned clip starts: twice the mean magnitude times sqrt(top), as the steps of
        Esser et al., "Learned step size quantization", ICLR 2020; or with SAWB's, which of a
        normal distribution is 0.6 of that."""
        assert self.alpha is not None and isinstance(self.fmt, IntFormat)
        if self.clip == Clip.FROM_SAWB and self.fmt != UINT4:
            bits = self._bits(x.abs().max().item())
            return sawb_clip(x, bits, self.fmt).float().clamp(min=ALPHA_FLOOR)
        mean = x.abs().mean(1) if self.alpha.ndim else x.abs().mean()
        return (2 * mean * self.fmt.hi**0.5).clamp(min=ALPHA_FLOOR)

    def _scale(self, x, largest, bits: int, fmt: Format, *, frozen: bool) -> torch.Tensor:
        """Dyadic, float64, from integers to codes, one on the host or one per row beside x, as
        `largest` is."""
        clip, one = self.clip, torch.ones((), dtype=torch.float64)
        if clip == Clip.GRADSCALE:
            scale = one * 2.0 ** (int(self.exponent) - bits)
            if not frozen:
                follow = GradScale(int(self.exponent))
                follow.update(float(largest) * follow.value)
                self.exponent.fill_(follow.exponent)
            return dyadic(scale)
        if self.learns:
            assert self.alpha is not None
            # to infer before there was anything to learn from: as if this were the first tensor
            clip_at = self.alpha if self.started else self._first_clip(x)
            top = clip_at.double().abs().clamp(min=ALPHA_FLOOR)
            if not top.ndim:
                top = top.cpu()
        elif self.role.when == When.EXACT:
            top = self._asked(x, largest, bits, fmt)
        else:
            top = self.top.clone()
            if not top or not frozen:
                now = self._asked(x, largest, bits, fmt)
                top = top if top else now
                if not frozen and now > 0:
                    self.top.copy_(now)
        integer = torch.ldexp(top, torch.tensor(bits, device=top.device))
        if clip == Clip.MAX:
            integer = integer.round()
        return dyadic(torch.where(integer > 0, top_code(fmt) / integer, 1.0))

    def _asked(self, x, largest: torch.Tensor, bits: int, fmt: Format) -> torch.Tensor:
        """What the top code is to stand for by the statistics of x, float64; of zeros 0."""
        if self.clip != Clip.SAWB or not largest > 0:
            return largest
        return sawb_clip(x, bits, fmt)


def top_code(fmt: Format) -> float:
    """The largest value of a code, in MAC units."""
    return LogFormat.TOP if isinstance(fmt, LogFormat) else fmt.hi


def sawb_clip(x: torch.Tensor, bits: int, fmt: Format) -> torch.Tensor:
    """SAWB's alpha of x, float64; of zeros what a scale of 1 would clip at."""
    return top_code(fmt) / torch.ldexp(sawb(x, bits, fmt), torch.tensor(bits))


def sawb(x: torch.Tensor, bits: int, fmt: Format) -> torch.Tensor:
    """SAWB's scale from `fixed(x, bits)` to codes, float64: its clip is the value of 7. UINT4 has
    twice as many codes above 0, so its steps are half as large."""
    mode = SolveMode.SAWB_UNSIGNED if fmt == UINT4 else SolveMode.SAWB
    scale = solve(Request(mode, kernels.moments(x, bits))).scale.value
    return torch.tensor(scale, dtype=torch.float64)
