# SPDX-License-Identifier: Apache-2.0
"""`LSTM` and `GRU` of torch whose products take four-bit operands.

The inputs of all steps are one GEMM. The states' is one per step, forward and back; their weights'
gradient is again one, K = steps x batch, with one scale for the whole pass.
"""

from typing import Any

import torch
from torch import nn

from golden.formats import Format
from train.pytorch.execution import Execution, dyadic
from train.pytorch.layers import MakeProduct, adopted
from train.pytorch.policy import Axis, Clip, Policy, Role
from train.pytorch.product import Product, exactly, through, turned
from train.pytorch.quantiser import ALPHA_FLOOR, Operand, Quantiser, top_code


class StateQuantiser(Quantiser):
    """Rounds the states of a pass, all by one scale, for they are one operand of the weights'
    gradient. It is there before the first of them: a learned clip, else the largest of the pass
    before. No state that a cell makes is beyond 1, which is the clip of the first pass and the
    largest of all.

    Members
    -------
    top : as of any quantiser in hindsight, whatever the role says. started : whether there was a
        pass in training; to infer before that each state has a scale of its own.
    """

    def __init__(self, role: Role, where: str):
        super().__init__(role, where)
        if role.coded:
            self.register_buffer("top", torch.tensor(1.0, dtype=torch.float64))

    @property
    def follows(self) -> bool:
        """Whether the next pass in training goes by this one's states."""
        return self.role.coded and not (self.learns and self.started)

    def follow(self, states: torch.Tensor) -> None:
        """Behind a pass, in training: its states (rows, columns) are what the next one goes by."""
        largest = states.abs().max().double().cpu()
        if not largest > 0:
            return
        if self.learns:
            super()._start(states, float(largest))
        else:
            self.started.fill_(True)
            self.top.copy_(largest.clamp(ALPHA_FLOOR, 1.0))

    def _bits(self, largest: float) -> int:
        return super()._bits(max(largest, self._top().item()))

    def _top(self) -> torch.Tensor:
        if not self.learns or not self.started:
            return self.top
        assert self.alpha is not None
        return self.alpha.detach().double().abs().clamp(min=ALPHA_FLOOR).cpu()

    def _start(self, x, largest: float) -> None:
        """One state decides nothing."""

    def _scale(self, x, largest, bits: int, fmt: Format, *, frozen: bool) -> torch.Tensor:
        top = largest if frozen and not self.started and largest > 0 else self._top()
        return dyadic(top_code(fmt) / torch.ldexp(top, torch.tensor(bits)))


class StateProduct(Product):
    """`h_t @ w.T` for the steps t of a pass: `begin`, a call per step, `finish`, then backward as
    ever.

    All states of a pass share a scale, whatever axis the policy has. Where that is not learned it
    is their largest, not SAWB's: they have no outliers, and the large ones are what a cell
    remembers. They have signs, although the first one is often zero.
    """

    def __init__(self, policy: Policy, where: str, seed: int, outputs: int,
                 execution: Execution):
        role = policy.input
        if role.axis != Axis.TENSOR or role.clip in (Clip.SAWB, Clip.BY_SIGN, Clip.FROM_SAWB):
            policy = policy.but(input=Role(role.fmt, Clip.MAX, rounding=role.rounding))
        super().__init__(policy, where, seed, outputs, execution)
        self.input = StateQuantiser(policy.input, f"{where}.input")

    def begin(self, w: torch.Tensor) -> "Pass":
        """A pass with weights (N, K), which are rounded once."""
        if self.training:
            self.steps += 1
        return Pass(self, w)


class Pass:
    """One pass over a sequence: the codes of the weights, of each step's state and gradient."""

    def __init__(self, product: StateProduct, w: torch.Tensor):
        self.product, self.step = product, int(product.steps)
        self.states: list[Operand] = []
        assert isinstance(product.input, StateQuantiser)
        self.collects = product.training and product.input.follows
        self.seen: list[torch.Tensor] = []  # the states as they were, until the pass is over
        self.gradients: dict[int, torch.Tensor] = {}  # of the steps, in a backward pass
        self.wq: Operand
        with exactly(w):
            self.token = _Weights.apply(w.float(), product.weight.alpha, self)

    def __call__(self, h: torch.Tensor) -> torch.Tensor:
        """`h @ w.T` of the next step's state (batch, K)."""
        with exactly(h):
            y = _Step.apply(h.float(), self.token, self.product.input.alpha, self)
            return y.to(h.dtype)

    @torch.no_grad()
    def finish(self) -> None:
        """All steps are done."""
        if self.seen:
            assert isinstance(self.product.input, StateQuantiser)
            self.product.input.follow(torch.cat(self.seen))
        self.seen.clear()


class _Weights(torch.autograd.Function):
    """Rounds the weights; its gradient comes when that of every step is known."""

    @staticmethod
    def forward(ctx: Any, w, alpha, run: Pass):
        run.wq = run.product.encode("weight", w[None], run.step)
        ctx.run = run
        ctx.save_for_backward(w, alpha)
        return w.new_zeros(())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, _):
        with exactly(ctx.run.wq.values):
            return _Weights.gradients(ctx)

    @staticmethod
    def gradients(ctx: Any):
        """Of the weights and of their clip."""
        run: Pass = ctx.run
        w, alpha = ctx.saved_tensors
        product = run.product
        times = sorted(run.gradients)
        dy = torch.cat([run.gradients[time] for time in times])[None]
        states = [run.states[time] for time in times]
        run.gradients.clear()
        h = states[0]._replace(values=torch.cat([s.values for s in states], 1))
        if product.policy.wgrad.axis == Axis.COLUMN:
            g = product.encode("wgrad", dy.transpose(1, 2).contiguous(), run.step)
        else:
            g = turned(product.encode("wgrad", dy, run.step))
        dw = product.multiply(turned(h), g, "wgrad").transpose(1, 2)
        dw, d_alpha = through(dw, run.wq, w, alpha)
        return dw[0], d_alpha, None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h, token, alpha, run: Pass):
        ctx.time = len(run.states)
        hq = run.product.encode("input", h[None], run.step, ctx.time)
        run.states.append(hq)
        if run.collects:
            run.seen.append(h)
        ctx.run, ctx.hq = run, hq
        ctx.save_for_backward(h, alpha)
        return run.product.multiply(hq, run.wq, "fprop")[0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy):
        with exactly(dy):
            return _Step.gradients(ctx, dy)

    @staticmethod
    def gradients(ctx: Any, dy):
        """Of the state and of its clip; that of the weights waits for the other steps."""
        run: Pass = ctx.run
        h, alpha = ctx.saved_tensors
        if ctx.needs_input_grad[1]:
            run.gradients[ctx.time] = dy
        wq = run.wq
        folded = dy if not wq.unit.ndim else dy * wq.unit.float()
        one = torch.ones_like(wq.unit[0]) if wq.unit.ndim else wq.unit
        g = run.product.encode("dgrad", folded[None], run.step, ctx.time)
        dh = run.product.multiply(turned(wq._replace(unit=one)), g, "dgrad").transpose(1, 2)
        dh, d_alpha = through(dh, ctx.hq, h, alpha, run.product.policy.input.clip,
                              features=h.shape[1])
        return dh[0], dy.new_zeros(()), d_alpha, None


class Recurrent4:
    """What LSTM and GRU share: layers, directions, and their products."""

    inputs: nn.ModuleList
    states: nn.ModuleList

    @classmethod
    def of(cls, layer: Any, make: MakeProduct):
        if getattr(layer, "proj_size", 0):
            raise ValueError(f"proj_size = {layer.proj_size}: expected 0, no projection of the "
                             "state; leave this layer out with filter=")
        found = adopted(cls, layer)
        found.inputs, found.states = nn.ModuleList(), nn.ModuleList()
        for suffix in found.suffixes():
            rows = getattr(layer, f"weight_ih{suffix}").shape[0]
            found.inputs.append(make(f"ih{suffix}", rows))
            found.states.append(make(f"hh{suffix}", rows, StateProduct))
        return found

    def suffixes(self: Any) -> list[str]:
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{layer}{way}" for layer in range(self.num_layers) for way in ways]

    def flatten_parameters(self) -> None:
        """Nothing: this is of cuDNN's copies."""

    def check(self: Any, x: torch.Tensor, states: list[torch.Tensor] | None) -> None:
        """ValueError unless the shapes are those that torch's own layer takes."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(f"an input of shape {tuple(x.shape)}: expected two or three axes, the "
                             f"last of {self.input_size}")
        batch = () if x.ndim == 2 else (x.shape[0 if self.batch_first else 1],)
        wanted = (len(self.suffixes()), *batch, self.hidden_size)
        for state in states or []:
            if tuple(state.shape) != wanted:
                raise ValueError(f"a first state of shape {tuple(state.shape)}: expected {wanted}")

    def run(self: Any, x: torch.Tensor, first: list[torch.Tensor]):
        """Outputs (time, batch, features) and the last states, each (layers, batch, hidden)."""
        if not isinstance(x, torch.Tensor):
            raise ValueError(f"an input of type {type(x).__name__}: expected a padded tensor; "
                             "mask the loss of what lies behind each sequence's end")
        ways, last = 1 + self.bidirectional, []
        for number, suffix in enumerate(self.suffixes()):
            if number % ways == 0:
                if number and self.dropout and self.training:
                    x = nn.functional.dropout(x, self.dropout)
                source, found = x, []
            back = number % ways == 1
            outputs, state = self.direction(
                source.flip(0) if back else source, [s[number] for s in first], number, suffix)
            found.append(outputs.flip(0) if back else outputs)
            last.append(state)
            if number % ways == ways - 1:
                x = torch.cat(found, 2)
        return x, [torch.stack(each) for each in zip(*last, strict=True)]

    def gates(self: Any, x: torch.Tensor, number: int, suffix: str):
        """Of all steps what the inputs contribute, the pass of the states, and their bias."""
        time, batch, _ = x.shape
        y = self.inputs[number](x.reshape(1, time * batch, -1),
                                getattr(self, f"weight_ih{suffix}")[None])
        y = y.reshape(time, batch, -1)
        run = self.states[number].begin(getattr(self, f"weight_hh{suffix}"))
        if not self.bias:
            return y, run, y.new_zeros(())
        return y + getattr(self, f"bias_ih{suffix}"), run, getattr(self, f"bias_hh{suffix}")

    @torch.compiler.disable  # steps that wait for each other: nothing to gain, see `Product`
    def call(self: Any, x, states: list[torch.Tensor] | None, count: int):
        """As torch's: any of its shapes of input in, the same out."""
        if isinstance(x, torch.Tensor):
            self.check(x, states)
        single = isinstance(x, torch.Tensor) and x.ndim == 2
        if single:
            x = x[:, None]
            states = None if states is None else [s[:, None] for s in states]
        elif self.batch_first and isinstance(x, torch.Tensor):
            x = x.transpose(0, 1)
        if states is None and isinstance(x, torch.Tensor):
            states = [x.new_zeros(len(self.suffixes()), x.shape[1], self.hidden_size)] * count
        y, last = self.run(x, states or [])
        if single:
            return y[:, 0], [s[:, 0] for s in last]
        return (y.transpose(0, 1) if self.batch_first else y), last


class LSTM4(Recurrent4, nn.LSTM):
    """`nn.LSTM`, the same parameters."""

    def direction(self, x, first, number: int, suffix: str):
        """Outputs (time, batch, hidden) of one layer and direction, and its last states."""
        y, run, bias = self.gates(x, number, suffix)
        h, c = first
        outputs = []
        for step in y:
            i, f, g, o = (step + run(h) + bias).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        run.finish()
        return torch.stack(outputs), (h, c)

    def forward(self, input, hx=None):
        y, (h, c) = self.call(input, None if hx is None else list(hx), 2)
        return y, (h, c)


class GRU4(Recurrent4, nn.GRU):
    """`nn.GRU`, the same parameters."""

    def direction(self, x, first, number: int, suffix: str):
        """Outputs (time, batch, hidden) of one layer and direction, and its last state."""
        y, run, bias = self.gates(x, number, suffix)
        h, outputs = first[0], []
        for step in y:
            (xr, xz, xn), (hr, hz, hn) = step.chunk(3, 1), (run(h) + bias).chunk(3, 1)
            z = (xz + hz).sigmoid()
            n = (xn + (xr + hr).sigmoid() * hn).tanh()
            h = n + z * (h - n)
            outputs.append(h)
        run.finish()
        return torch.stack(outputs), (h,)

    def forward(self, input, hx=None):
        y, (h,) = self.call(input, None if hx is None else [hx], 1)
        return y, h
