# SPDX-License-Identifier: Apache-2.0
"""Image networks in plain PyTorch, written out because torchvision is not among the test dependencies.

Architectures and parameter counts equal torchvision's (zoo.py asserts the counts); widths and depths
are arguments so that the quick tests can use the same code in small.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(
    c_in: int, c_out: int, k: int, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Convolution without bias, BatchNorm, activation: the brick of all nets before ConvNeXt."""
    layers: list[nn.Module] = [
        nn.Conv2d(c_in, c_out, k, stride, (k - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    ]
    if act is not None:
        layers.append(act())
    return nn.Sequential(*layers)


class ResBlock(nn.Module):
    """Basic (two 3x3) or bottleneck (1x1, 3x3 with the stride, 1x1 times 4) residual block."""

    def __init__(self, c_in: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            c_out = 4 * width
            self.body = nn.Sequential(
                conv_bn(c_in, width, 1), conv_bn(width, width, 3, stride), conv_bn(width, c_out, 1, act=None)
            )
        else:
            c_out = width
            self.body = nn.Sequential(conv_bn(c_in, width, 3, stride), conv_bn(width, c_out, 3, act=None))
        same = stride == 1 and c_in == c_out
        self.skip = nn.Identity() if same else conv_bn(c_in, c_out, 1, stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


class ResNet(nn.Module):
    """He et al. 2015. ResNet-18: depths 2,2,2,2 basic; ResNet-50: depths 3,4,6,3 bottleneck."""

    def __init__(self, depths: Sequence[int], bottleneck: bool, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        blocks, c_in = [], width
        for stage, depth in enumerate(depths):
            w = width << stage
            for i in range(depth):
                blocks.append(ResBlock(c_in, w, 2 if stage and not i else 1, bottleneck))
                c_in = 4 * w if bottleneck else w
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class VGG(nn.Module):
    """Simonyan and Zisserman 2014, configuration D with 16 layers; a number is the convolutions of a stage."""

    def __init__(self, stages: Sequence[int] = (2, 2, 3, 3, 3), width: int = 64, hidden: int = 4096,
                 classes: int = 1000, side: int = 7) -> None:  # fmt: skip
        super().__init__()
        parts: list[nn.Module] = []
        c_in = 3
        for stage, depth in enumerate(stages):
            w = min(width << stage, 8 * width)
            for _ in range(depth):
                conv = nn.Conv2d(c_in, w, 3, padding=1)
                nn.init.kaiming_normal_(conv.weight)
                parts += [conv, nn.ReLU()]
                c_in = w
            parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            nn.Linear(c_in * side * side, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class InvertedResidual(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c_in * expand
        layers = [] if expand == 1 else [conv_bn(c_in, hidden, 1, act=nn.ReLU6)]
        layers += [conv_bn(hidden, hidden, 3, stride, hidden, nn.ReLU6), conv_bn(hidden, c_out, 1, act=None)]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # expand, channels, repeats, first stride


class MobileNetV2(nn.Module):
    """Sandler et al. 2018."""

    def __init__(
        self,
        stages: Sequence[tuple[int, int, int, int]] = MOBILENET_V2,
        stem: int = 32,
        head: int = 1280,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, stem, 3, 2, act=nn.ReLU6)]
        c_in = stem
        for expand, c_out, repeats, stride in stages:
            for i in range(repeats):
                layers.append(InvertedResidual(c_in, c_out, 1 if i else stride, expand))
                c_in = c_out
        layers.append(conv_bn(c_in, head, 1, act=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(head, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = F.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)))
        return x * torch.sigmoid(self.fc2(s))


class MBConv(nn.Module):
    def __init__(self, c_in: int, c_out: int, k: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c_in * expand
        layers: list[nn.Module] = [] if expand == 1 else [conv_bn(c_in, hidden, 1, act=nn.SiLU)]
        layers += [
            conv_bn(hidden, hidden, k, stride, hidden, nn.SiLU),
            SqueezeExcite(hidden, max(1, c_in // 4)),
            conv_bn(hidden, c_out, 1, act=None),
        ]
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x if self.residual else self.body(x)


EFFICIENTNET_B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# expand, kernel, first stride, channels, repeats


class EfficientNet(nn.Module):
    """Tan and Le 2019."""

    def __init__(
        self,
        stages: Sequence[tuple[int, int, int, int, int]] = EFFICIENTNET_B0,
        stem: int = 32,
        head: int = 1280,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, stem, 3, 2, act=nn.SiLU)]
        c_in = stem
        for expand, k, stride, c_out, repeats in stages:
            for i in range(repeats):
                layers.append(MBConv(c_in, c_out, k, 1 if i else stride, expand))
                c_in = c_out
        layers.append(conv_bn(c_in, head, 1, act=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(head, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of N,C,H,W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)
        self.scale = nn.Parameter(torch.rand(dim, 1, 1) * 0.2 + 0.1)  # 1e-6 would hide the block

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


class ConvNeXt(nn.Module):
    """Liu et al. 2022; the defaults are ConvNeXt-T."""

    def __init__(
        self,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, dims[0], 4, 4), LayerNorm2d(dims[0], eps=1e-6)]
        for stage, (depth, dim) in enumerate(zip(depths, dims, strict=True)):
            if stage:
                layers += [LayerNorm2d(dims[stage - 1], eps=1e-6), nn.Conv2d(dims[stage - 1], dim, 2, 2)]
            layers += [ConvNeXtBlock(dim) for _ in range(depth)]
        self.features = nn.Sequential(*layers)
        self.norm = LayerNorm2d(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(F.adaptive_avg_pool2d(self.features(x), 1)).flatten(1))


class UNet(nn.Module):
    """Ronneberger et al. 2015 with padded convolutions and BatchNorm.

    The lowest step up is bilinear with a convolution, the others are transposed convolutions, so
    that both usual ways are in one graph.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512, 1024), classes: int = 2) -> None:
        super().__init__()
        double = lambda a, b: nn.Sequential(conv_bn(a, b, 3), conv_bn(b, b, 3))  # noqa: E731
        self.down = nn.ModuleList(double(a, b) for a, b in zip((3, *widths[:-1]), widths, strict=True))
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        for big, small in zip(widths[:0:-1], widths[-2::-1], strict=True):
            bilinear = big == widths[-1]
            self.up.append(
                nn.Sequential(
                    nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                    nn.Conv2d(big, small, 1),
                )
                if bilinear
                else nn.ConvTranspose2d(big, small, 2, 2)
            )
            self.merge.append(double(2 * small, small))
        self.out = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return self.out(x)
