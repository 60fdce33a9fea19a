# SPDX-License-Identifier: Apache-2.0
"""`Product`: `x @ w.T` whose three GEMMs, forward and backward, take operands of a policy.

    fprop  y (M, N) = x (M, K) @ w (N, K).T
    dgrad  dx (M, K) = dy (M, N) @ w (N, K)         on the core W^T (K, N) times dy (M, N)
    wgrad  dw (N, K) = dy (M, N).T @ x (M, K)       on the core X^T (K, M) times dy^T (N, M)

All have a leading axis of groups. Between two operands of codes the core's integers are exact;
where one is a float, the product is torch's.
"""

from collections.abc import Callable
from typing import Any

import torch

from golden.formats import IntFormat, LogFormat
from train.pytorch.execution import Execution
from train.pytorch.policy import Axis, Clip, Policy
from train.pytorch.quantiser import ALPHA_FLOOR, Operand, OptionalState, Quantiser

ROLES = ("input", "weight", "dgrad", "wgrad")
Reshape = Callable[[torch.Tensor], torch.Tensor]


class Product(OptionalState):
    """The three GEMMs of a layer.

    Parameters
    ----------
    policy : Policy. where : the layer's name, for errors. seed : of its random words.
    outputs : rows of w over all groups, for clips of their own.
    execution : whoever computes; not part of the state.

    Members
    -------
    steps : how often it has been applied in training; random words follow from it and from `seed`.
        Both are buffers.
    """

    steps: torch.Tensor
    seed: torch.Tensor

    def __init__(self, policy: Policy, where: str, seed: int, outputs: int,
                 execution: Execution):
        super().__init__()
        self.policy, self.where, self.execution = policy, where, execution
        self.input = Quantiser(policy.input, f"{where}.input", signed=False)
        self.weight = Quantiser(policy.weight, f"{where}.weight", outputs)
        self.dgrad = Quantiser(policy.dgrad, f"{where}.dgrad")
        self.wgrad = Quantiser(policy.wgrad, f"{where}.wgrad")
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("seed", torch.tensor(seed))

    def forward(self, x: torch.Tensor, w: torch.Tensor, expand: Reshape | None = None,
                collapse: Reshape | None = None) -> torch.Tensor:
        """`x @ w.T` (G, M, N), of w (G, N, K), in x's dtype.

        x is (G, M, K), or whatever `expand` makes that of; `collapse` adds the gradient of what it
        has made to that of x.
        """
        return self._apply_product(x, w, expand, collapse)

    @torch.compiler.disable  # a compiler would fuse what is counted on to round here and there
    def _apply_product(self, x, w, expand, collapse) -> torch.Tensor:
        if not x.numel() or not w.numel():
            return x @ w.transpose(1, 2)  # nothing to round
        with exactly(x):
            if self.training:
                self.steps += 1
            y = _Product.apply(x.float(), w.float(), self.input.alpha, self.weight.alpha, self,
                               expand, collapse)
            return y.to(x.dtype)

    def encode(self, role: str, x: torch.Tensor, step: int, *time: int) -> Operand:
        """Operand of a tensor, of its shape, whose last axis are the columns, in the `step`th
        application, there in the step `time` of a sequence."""
        try:
            return self.operand(role, x, (int(self.seed), ROLES.index(role), step, *time))
        except FloatingPointError as error:
            raise FloatingPointError(
                f"{error}, when the layer was applied for the {step}. time in training: training "
                "stops here, before the optimizer moves anything; go on from the last checkpoint "
                "with a smaller learning rate") from None

    def operand(self, role: str, x: torch.Tensor, key: tuple[int, ...]) -> Operand:
        """`x` for this role; `key` names it in the run. FloatingPointError if not finite."""
        quantise: Quantiser = getattr(self, role)
        found = quantise(x.reshape(-1, x.shape[-1]), self.execution, key, frozen=not self.training)
        return shaped(found, x.shape)

    def multiply(self, a: Operand, b: Operand, phase: str) -> torch.Tensor:
        """`a @ b.T`, float32 (G, rows of a, rows of b); `phase` is fprop, dgrad or wgrad."""
        if isinstance(a.fmt, IntFormat) and isinstance(b.fmt, IntFormat | LogFormat):
            y = self.execution.multiply(a.values, a.fmt, b.values, b.fmt, phase).float()
            for unit in units(a.unit.reshape(len(y), -1, 1) if a.unit.ndim else a.unit,
                              b.unit.reshape(len(y), 1, -1) if b.unit.ndim else b.unit):
                y *= unit
            return y
        return plain(a) @ plain(b).transpose(-1, -2)


def units(a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
    """What to multiply integers by, one number if both are."""
    return [a * b] if a.ndim == b.ndim == 0 else [a.float(), b.float()]


def shaped(operand: Operand, shape: torch.Size) -> Operand:
    inside = operand.inside
    return operand._replace(values=operand.values.reshape(shape),
                            inside=None if inside is None else inside.reshape(shape))


def plain(operand: Operand) -> torch.Tensor:
    """The numbers of an operand (G, rows, columns), float32."""
    unit = operand.unit.float()
    return operand.values * (unit.reshape(*operand.values.shape[:2], 1) if unit.ndim else unit)


def turned(operand: Operand) -> Operand:
    """Rows for columns, of one scale."""
    return operand._replace(values=operand.values.transpose(-1, -2))


def exactly(x: torch.Tensor) -> torch.autocast:
    """Where autocast may not choose a narrower dtype: integers would not be exact."""
    return torch.autocast(x.device.type, enabled=False)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x, w, x_alpha, w_alpha, product: Product, expand, collapse):
        step = int(product.steps)
        by_row = product.policy.input.axis == Axis.ROW
        if expand is not None and by_row:
            x = expand(x)
        xq, wq = product.encode("input", x, step), product.encode("weight", w, step)
        wide = xq if expand is None or by_row else xq._replace(values=expand(xq.values))
        ctx.product, ctx.step, ctx.collapse, ctx.by_row = product, step, collapse, by_row
        ctx.wide, ctx.xq, ctx.wq = wide, xq, wq
        # what is not rounded is the tensor itself: saved, it may not change in between
        ctx.save_for_backward(x, w, product.input.alpha, product.weight.alpha)
        return product.multiply(wide, wq, "fprop")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy):
        with exactly(dy):
            return _gradients(ctx, dy)


def _gradients(ctx: Any, dy):
    """Of x, w and their clips."""
    product, wide, wq, step = ctx.product, ctx.wide, ctx.wq, ctx.step
    x, w, x_alpha, w_alpha = ctx.saved_tensors
    dx = dw = dx_alpha = dw_alpha = None
    dy = dy.contiguous()
    roles = product.policy.dgrad, product.policy.wgrad
    shared = None  # the codes of dgrad, where wgrad takes the same
    if ctx.needs_input_grad[0] or x_alpha is not None:
        # a scale per output would lie along the sum: the gradient takes it with it
        folded = dy if not wq.unit.ndim else dy * wq.unit.float().reshape(len(dy), 1, -1)
        g = product.encode("dgrad", folded, step)
        shared = g if folded is dy and roles[0] == roles[1] else None
        one = torch.ones_like(wq.unit[0]) if wq.unit.ndim else wq.unit
        dx = product.multiply(turned(wq._replace(unit=one)), g, "dgrad").transpose(1, 2)
        if ctx.collapse is not None and not ctx.by_row:
            dx = ctx.collapse(dx)
        dx, dx_alpha = through(dx, ctx.xq, x, x_alpha, product.policy.input.clip, features=(
            x[0, 0] if x.ndim == 3 else x[0]).numel())
        if ctx.collapse is not None and ctx.by_row:
            dx = ctx.collapse(dx)
    if ctx.needs_input_grad[1]:
        folded = dy if not wide.unit.ndim else dy * wide.unit.float().reshape(len(dy), -1, 1)
        one = torch.ones_like(wide.unit[0]) if wide.unit.ndim else wide.unit
        if product.policy.wgrad.axis == Axis.COLUMN:
            g = product.encode("wgrad", folded.transpose(1, 2).contiguous(), step)
        else:
            g = turned(shared if shared is not None and folded is dy else product.encode(
                "wgrad", folded, step))
        dw = product.multiply(turned(wide._replace(unit=one)), g, "wgrad").transpose(1, 2)
        dw, dw_alpha = through(dw, wq, w, w_alpha)
    return dx, dw, dx_alpha, dw_alpha, None, None, None


def through(gradient: torch.Tensor, q: Operand, x, alpha, clip: Clip = Clip.LEARNED, *,
            features: int = 0):
    """The gradient of an operand as that of what was rounded, and of its learned clip.

    Straight through where nothing was clipped; the clip's is that of Esser et al., "Learned step
    size quantization", ICLR 2020, for `alpha = top * step`: the rounding error in steps where
    nothing was clipped, the sign (or 1) where it was, over the root of top times the number of
    weights, or of `features` of an input. With clip = pact it is that of Choi et al., "PACT", 2018:
    what was clipped alone counts, as it is; on both sides, where the format has both.
    """
    if alpha is None or q.inside is None:  # a clip that learns nothing, see Clip.BY_SIGN
        return gradient, None if alpha is None else torch.zeros_like(alpha)
    assert isinstance(q.fmt, IntFormat)
    up = torch.where(alpha < 0, -1.0, 1.0)
    if clip == Clip.PACT:
        return gradient * q.inside, up * (gradient * q.values * ~q.inside).sum() / q.fmt.hi
    rows = q.values.reshape(-1, q.values.shape[-1])
    unit = q.unit.float()
    error = rows * (unit[:, None] if unit.ndim else unit) - torch.where(
        q.inside, x, 0.0).reshape(rows.shape)
    part = (gradient.reshape(rows.shape) * error).sum(1 if alpha.ndim else None)
    count = features or (rows.shape[1] if alpha.ndim else rows.numel())
    top = up * alpha.abs().clamp(min=ALPHA_FLOOR)
    return gradient * q.inside, part / (top * (count * q.fmt.hi) ** 0.5)
