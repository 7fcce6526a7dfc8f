"""LAF's CNN and ResNet-18 with the CIFAR stem in PyTorch, the yardstick for the JAX models.

Architecture and initialisation are those of `junlearn.models`; only the layout differs (NCHW).
"""

import torch
from torch import Tensor, nn

__all__ = ["LafCnn", "ResNet18"]


class LafCnn(nn.Module):
    """The CNN of LAF for 28×28×1 images; 449,098 parameters with 10 classes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.extractor = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 256),
        )
        self.head = nn.Sequential(nn.Linear(256, 128), nn.Linear(128, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """`x[B,1,28,28] -> logits[B,K]`."""
        return self.head(self.extractor(x))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """`[B,C,H,W] -> [B,width,H/stride,W/stride]`."""
        return torch.relu(self.residual(x) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 with the 3×3 stem; 11,173,962 parameters with 10 classes."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        width_in = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [BasicBlock(width_in, width, stride), BasicBlock(width, width, 1)]
            width_in = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """`x[B,3,H,W] -> logits[B,K]`."""
        return self.head(self.trunk(x).mean((2, 3)))
