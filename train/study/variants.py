# SPDX-License-Identifier: Apache-2.0
"""The policies that the study compares: the named ones, and ablations, which change one thing."""

from dataclasses import replace

from golden import checks
from golden.formats import FP4_R2, FP4_R4, INT4_SYM, Phase
from tools.cache import digest
from train.pytorch.policy import FP4_R10, LUQ_GRADIENT, POLICIES, Axis, Clip, Policy, Role, Rounding

SUN, LUQ = POLICIES["sun2020"], POLICIES["luq"]


def _gradients(base: Policy, **changes) -> Policy:
    """Both gradients changed alike."""
    return base.but(dgrad=replace(base.dgrad, **changes), wgrad=replace(base.wgrad, **changes))


_ROWS = replace(LUQ_GRADIENT, axis=Axis.ROW)
_COLUMNS = replace(LUQ_GRADIENT, axis=Axis.COLUMN)
_MAX = Role(INT4_SYM, Clip.MAX)

# what each name changes of the policy before its first colon
ABLATIONS: dict[str, Policy] = {
    # of the published recipe
    "sun2020:one-phase": SUN.but(wgrad=SUN.dgrad),
    "sun2020:one-scale": SUN,  # one loss scale for all layers: `train.study.run` shares it
    "sun2020:stochastic": _gradients(SUN, rounding=Rounding.STOCHASTIC, phase=Phase.EVEN),
    "sun2020:radix-2": _gradients(SUN, fmt=FP4_R2, phase=Phase.EVEN),
    "sun2020:radix-10": _gradients(SUN, fmt=FP4_R10, phase=Phase.EVEN),
    "sun2020:all-layers": SUN.but(edges=True),
    # of the gradient
    "luq:radix-4": _gradients(LUQ, fmt=FP4_R4),
    "luq:radix-10": _gradients(LUQ, fmt=FP4_R10),
    "luq:nearest": _gradients(LUQ, rounding=Rounding.NEAREST),
    "luq:hindsight": _gradients(LUQ, when="hindsight"),
    "luq:hindsight-from-sawb": _gradients(LUQ, when="hindsight").but(
        input=Role(INT4_SYM, Clip.FROM_SAWB)),
    "luq:gradscale": _gradients(LUQ, clip=Clip.GRADSCALE),
    "luq:rows": LUQ.but(dgrad=_ROWS),
    "luq:columns": LUQ.but(wgrad=_COLUMNS),
    "luq:rows-columns": LUQ.but(dgrad=_ROWS, wgrad=_COLUMNS),
    # of the forward pass
    "luq:max": LUQ.but(input=_MAX, weight=_MAX),
    "luq:sawb": LUQ.but(input=Role(INT4_SYM, Clip.SAWB)),
    "luq:pact": LUQ.but(input=Role(INT4_SYM, Clip.PACT)),
    "luq:learned": LUQ.but(weight=Role(INT4_SYM, Clip.LEARNED)),
    "luq:learned-channels": LUQ.but(weight=Role(INT4_SYM, Clip.LEARNED, Axis.ROW)),
    "luq:rows-channels": LUQ.but(dgrad=_ROWS, weight=Role(INT4_SYM, Clip.LEARNED, Axis.ROW)),
    "luq:max-channels": LUQ.but(weight=replace(_MAX, axis=Axis.ROW)),
    "luq:max-tokens": LUQ.but(input=replace(_MAX, axis=Axis.ROW),
                              weight=replace(_MAX, axis=Axis.ROW)),
    "luq:rows-columns-tokens": LUQ.but(
        input=replace(_MAX, axis=Axis.ROW), weight=replace(_MAX, axis=Axis.ROW), dgrad=_ROWS,
        wgrad=_COLUMNS),
    "luq:rows-columns-sawb": LUQ.but(input=Role(INT4_SYM, Clip.SAWB), dgrad=_ROWS, wgrad=_COLUMNS),
    "luq:int4": LUQ.but(weight=Role("INT4", Clip.SAWB)),
    # of what is converted
    "luq:all-layers": LUQ.but(edges=True),
    "luq:attention": LUQ.but(attention=True),
    "luq:all": LUQ.but(edges=True, attention=True),
}
VARIANTS: dict[str, Policy] = POLICIES | {
    name: policy.but(name=name) for name, policy in ABLATIONS.items()}
ONE_SCALE = {"sun2020:one-scale"}


def variant(name: str) -> Policy:
    """The policy called `name`; ValueError that lists the names otherwise."""
    return VARIANTS[checks.as_choice("policy", name, VARIANTS)]


def file_name(name: str) -> str:
    """The name of a policy in a path."""
    return name.replace(":", "-")


def roles(name: str) -> str:
    """What a policy does, whatever it is called: equal where the bits are."""
    how = repr(replace(variant(name), name=""))
    return digest(how, *({name} & ONE_SCALE))
