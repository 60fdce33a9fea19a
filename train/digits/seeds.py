# SPDX-License-Identifier: Apache-2.0
"""`python -m train.digits.seeds`: test accuracy over several seeds, golden model and FP32.

A seed fixes the split, the initial weights and the order of the samples, for both networks.
"""

from collections.abc import Iterable

import numpy as np

from tools.arguments import Parser, one_of, seed
from train.digits.data import digits
from train.digits.device import ABOUT, QUANT, Device, four_bit_network, open_device
from train.digits.trainer import Schedule, Trainer
from train.network.mlp import float_mlp

SCHEDULE = Schedule()


def trainers(seed: int, device: Device, schedule: Schedule,
             quant: str = QUANT) -> tuple[Trainer, Trainer]:
    """The 4-bit network of a quantisation on its device and its FP32 twin, on the same data."""
    data = digits(seed)
    networks = (four_bit_network(quant, device, schedule.sizes, seed),
                float_mlp(schedule.sizes, seed))
    four_bit, fp32 = (Trainer(network, data, schedule, seed) for network in networks)
    return four_bit, fp32


def accuracy_over_seeds(
    seeds: Iterable[int], schedule: Schedule = SCHEDULE, quant: str = QUANT
) -> list[tuple[float, float]]:
    """Final test accuracy (4 bit, FP32), 0..1, of each seed."""
    return [accuracies(seed, schedule, quant) for seed in seeds]


def accuracies(seed: int, schedule: Schedule = SCHEDULE,
               quant: str = QUANT) -> tuple[float, float]:
    """Final test accuracy (4 bit, FP32), 0..1."""
    device = open_device(quant, "golden", "base", schedule.sizes, schedule.batch)
    pair = trainers(seed, device, schedule, quant)
    for trainer in pair:
        for epoch in range(schedule.epochs):
            trainer.epoch(epoch)
    return pair[0].history.accuracy[-1], pair[1].history.accuracy[-1]


def main() -> None:
    parser = Parser("python -m train.digits.seeds", __doc__)
    parser.add_argument("--seeds", type=seed, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--quant", type=one_of(ABOUT), default=QUANT, metavar="NAME",
                        help=f"{', '.join(ABOUT)} (default: %(default)s)")
    options = parser.parse_args()
    found = accuracy_over_seeds(options.seeds, quant=options.quant)
    print(f"seed    4 bit     FP32   points   ({options.quant})")
    for number, (four_bit, fp32) in zip(options.seeds, found, strict=True):
        print(f"{number:4d} {four_bit:8.2%} {fp32:8.2%} {100 * (four_bit - fp32):+8.2f}")
    four_bit, fp32 = np.mean(found, axis=0)
    print(f"mean {four_bit:8.2%} {fp32:8.2%} {100 * (four_bit - fp32):+8.2f}")


if __name__ == "__main__":
    main()
