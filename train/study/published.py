# SPDX-License-Identifier: Apache-2.0
"""Published results of training in four bits, to stand beside those of the study.

None can be repeated here: their data (CIFAR-10, ImageNet, Penn Treebank, Switchboard, WMT) come in
no package, and their models take days on many machines.
"""

from dataclasses import dataclass

SUN = "Sun et al., NeurIPS 2020"
LUQ = "Chmiel et al., ICLR 2023"
NVFP4 = "NVIDIA, arXiv 2509.25149, 2025"


@dataclass(frozen=True)
class Published:
    """A published pair of figures.

    Members
    -------
    model, metric : as the source has them. policy : ours that does likewise.
    reference, figure : of the unquantised training (of NVFP4: FP8) and of the quantised one.
    higher_is_better : of the metric. source : where it is written.
    """

    model: str
    metric: str
    policy: str
    reference: float
    figure: float
    source: str
    higher_is_better: bool = True

    @property
    def gap(self) -> float:
        """Positive is worse, as in the study."""
        lost = self.reference - self.figure
        return lost if self.higher_is_better else -lost


def _sun(model: str, reference: float, forward: float | None, both: float,
         metric: str = "accuracy (%)", higher_is_better: bool = True) -> list[Published]:
    return [Published(model, metric, policy, reference, figure, SUN, higher_is_better)
            for policy, figure in (("int4_forward", forward), ("sun2020", both))
            if figure is not None]


PUBLISHED: list[Published] = [
    *_sun("VGG16, CIFAR-10", 92.07, 91.81, 91.47),
    *_sun("ResNet18, CIFAR-10", 93.01, 92.97, 92.74),
    *_sun("ResNet50, CIFAR-10", 94.70, 94.34, 93.42),
    *_sun("MobileNetV2, CIFAR-10", 93.00, 92.97, 91.80),
    *_sun("AlexNet, ImageNet", 57.56, 57.51, 56.38),
    *_sun("ResNet18, ImageNet", 69.40, 69.43, 68.27),
    *_sun("ResNet50, ImageNet", 76.48, 75.76, 74.01),
    *_sun("MobileNetV2, ImageNet", 71.85, 69.77, 68.85),
    *_sun("LSTM, Penn Treebank", 83.3, None, 85.3, "perplexity", False),
    *_sun("biLSTM, Switchboard", 9.9, None, 11.3, "word error rate (%)", False),
    *_sun("Transformer, translation", 27.5, None, 25.4, "BLEU"),
    Published("ResNet50, ImageNet", "accuracy (%)", "luq", 76.5, 75.42, LUQ),
    Published("12 billion parameters, text", "MMLU-Pro (%)", "nvfp4", 62.62, 62.58, NVFP4),
]
