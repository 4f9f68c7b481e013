"""train_step.py's contenders in PyTorch: the same network, augmentation, losses and optimizer."""

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from train_step_network import D_EMBEDDING, FC_WIDTH, STAGE_BLOCKS


def step_of(
    name: str, px: int, n: int, d_hidden: int, views: int
) -> tuple[Callable[[int], None], str]:
    """(function that runs a number of steps, name of the device) of a contender.

    "torch" in NCHW, "torch-channels-last", or "torch-bfloat16": channels last under autocast,
    compiled.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = _network(d_hidden).to(device)
    faces = (
        torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8))
        .permute(0, 3, 1, 2)
        .to(device)
    )
    bfloat16 = name == "torch-bfloat16"
    if bfloat16 or name == "torch-channels-last":
        model, faces = (
            model.to(memory_format=torch.channels_last),
            faces.contiguous(memory_format=torch.channels_last),
        )
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def loss_of(faces: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            embeddings = model(_augmented(torch.cat([faces] * views)))
        embeddings = functional.normalize(embeddings.float())
        a, b, c = embeddings[:n].view(-1, 3, D_EMBEDDING).unbind(1)
        alike = (a - b).norm(dim=1)
        loss = sum(functional.relu(alike - (x - c).norm(dim=1) + 0.1).sum() for x in (a, b)) / (
            n // 3
        )
        return loss if views == 1 else loss + (embeddings[:n] - embeddings[n:]).norm(dim=1).mean()

    compiled = torch.compile(loss_of) if bfloat16 else loss_of

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            compiled(faces).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run, torch.cuda.get_device_name() if device == "cuda" else "cpu"


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_conv(channels, filters, 1),
            nn.ReLU(True),
            *_conv(filters, filters, 3, stride),
            nn.ReLU(True),
            *_conv(filters, 4 * filters, 1),
        )
        same = stride == 1 and channels == 4 * filters
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(*_conv(channels, 4 * filters, 1, stride))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu_(self.main(x) + self.shortcut(x))


def _conv(channels: int, filters: int, size: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, filters, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(filters),
    ]


def _network(d_hidden: int) -> nn.Module:
    layers, channels = [*_conv(3, d_hidden, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)], d_hidden
    for stage, blocks in enumerate(STAGE_BLOCKS):
        for index in range(blocks):
            filters = d_hidden * 2**stage
            layers.append(_Bottleneck(channels, filters, 2 if stage and not index else 1))
            channels = 4 * filters
    head = [nn.Linear(channels, FC_WIDTH), nn.ReLU(True), nn.Linear(FC_WIDTH, D_EMBEDDING)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


def _augmented(faces: torch.Tensor) -> torch.Tensor:
    """Augments like imagefec.maths.augment and scales: uint8 [n, 3, h, w] -> float32 in -1..1."""
    n, device = len(faces), faces.device
    side = (1 - 0.3 * torch.rand(n, device=device)).sqrt()
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = side * torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = side
    theta[:, :, 2] = (1 - side)[:, None] * (2 * torch.rand(n, 2, device=device) - 1)
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    x = functional.grid_sample(faces.float(), grid, align_corners=False)
    factor = 0.9 + 0.2 * torch.rand(n, 2, 1, 1, 1, device=device)
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * factor[:, 0] + mean * factor[:, 1]).clamp(0, 255) / 127.5 - 1
