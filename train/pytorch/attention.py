# SPDX-License-Identifier: Apache-2.0
"""`MultiheadAttention` of torch: projections in four bits, and the two products if the policy says.

Weights of attention enter their product as they leave `exp(score - largest score)`, before they are
divided by their sum: the largest is 1 and UINT4 covers 0..1 exactly, where probabilities of long
rows would all be far below its first step. The sums divide the product instead.
"""

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from golden.formats import UINT4
from train.pytorch.layers import MakeProduct, adopted
from train.pytorch.policy import Axis, Clip, Role
from train.pytorch.product import Product

PROBABILITIES = Role(UINT4, Clip.MAX)


class MultiheadAttention4(nn.MultiheadAttention):
    """`nn.MultiheadAttention`, the same parameters."""

    projections: nn.ModuleList
    output: Product
    scores: Product | None
    values: Product | None

    @classmethod
    def of(cls, layer: nn.MultiheadAttention, make: MakeProduct) -> "MultiheadAttention4":
        if layer.bias_k is not None or layer.add_zero_attn:
            raise ValueError("attention with add_bias_kv or add_zero_attn: expected neither; "
                             "leave this layer out with filter=")
        found = adopted(cls, layer)
        size = layer.embed_dim
        found.projections = nn.ModuleList(make(part, size) for part in ("q", "k", "v"))
        found.output = make("out", size)
        found.scores = found.values = None
        policy = found.output.policy
        if policy.attention:
            # keys and values take the place of weights: activations, with clips of the tensor
            key = policy.weight if not policy.weight.coded else Role(policy.weight.fmt, Clip.MAX)
            query = replace(policy.input, axis=Axis.TENSOR)
            found.scores = make("scores", 0, policy=policy.but(input=query, weight=key))
            found.values = make("values", 0, policy=policy.but(
                input=PROBABILITIES if policy.input.coded else policy.input, weight=key))
        # torch's fused inference would compute around the products; it looks at this
        found._qkv_same_embed_dim = False
        return found

    def _weights(self) -> tuple[torch.Tensor, ...]:
        if self.in_proj_weight is not None:
            return self.in_proj_weight.chunk(3)
        return self.q_proj_weight, self.k_proj_weight, self.v_proj_weight

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        single = query.ndim == 2
        given = [x[None] if single else x if self.batch_first else x.transpose(0, 1)
                 for x in (query, key, value)]
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        heads = []
        for x, w, bias, product in zip(given, self._weights(), biases, self.projections,
                                       strict=True):
            y = product(x.reshape(1, -1, x.shape[-1]), w[None]).reshape(*x.shape[:2], -1)
            y = y if bias is None else y + bias
            y = y.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
            heads.append(y.flatten(0, 1))  # (batch * heads, length, head_dim)
        q, k, v = heads
        q = q * self.head_dim**-0.5
        scores = q @ k.transpose(1, 2) if self.scores is None else self.scores(q, k)
        scores = scores + self._bias(scores, key_padding_mask, attn_mask, is_causal)
        largest = scores.amax(2, keepdim=True).detach()
        # of a row that may look at nothing, all weights are 0 and so is the result
        weights = (scores - largest.masked_fill(largest == float("-inf"), 0)).exp()
        total = weights.sum(2, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
        weights = functional.dropout(weights, self.dropout, self.training)
        y = weights @ v if self.values is None else self.values(weights, v.transpose(1, 2))
        batch, length = given[0].shape[:2]
        y = (y / total).reshape(batch, self.num_heads, length, self.head_dim).transpose(1, 2)
        y = self.output(y.reshape(1, batch * length, -1), self.out_proj.weight[None])
        y = y.reshape(batch, length, -1)
        y = y if self.out_proj.bias is None else y + self.out_proj.bias
        told = None
        if need_weights:
            told = (weights / total).reshape(batch, self.num_heads, length, -1)
            told = told.mean(1) if average_attn_weights else told
            told = told[0] if single else told
        return (y[0] if single else y if self.batch_first else y.transpose(0, 1)), told

    def _bias(self, scores, key_padding_mask, attn_mask, is_causal: bool) -> torch.Tensor:
        """What is added to the scores (batch * heads, length, source): -Inf where masked."""
        _, length, source = scores.shape
        bias = scores.new_zeros(())
        if attn_mask is None and is_causal:
            attn_mask = torch.ones(length, source, dtype=torch.bool, device=scores.device).triu(1)
        if attn_mask is not None:
            bias = bias + _additive(attn_mask, scores)
        if key_padding_mask is not None:
            each = _additive(key_padding_mask, scores).reshape(-1, 1, 1, source)
            bias = bias + each.expand(-1, self.num_heads, 1, -1).reshape(-1, 1, source)
        return bias


def _additive(mask: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    if mask.is_floating_point():
        return mask
    if mask.dtype != torch.bool:
        raise ValueError(f"a mask of {mask.dtype}: expected bool, True where nobody may look, or "
                         "floats, which are added to the scores")
    return torch.zeros(mask.shape, device=scores.device).masked_fill_(mask, float("-inf"))
