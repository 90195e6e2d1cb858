"""Independent implementations that ours is timed against. PyTorch is the extra `bench`."""

import torch
from torch import nn


def _conv(in_channels: int, out_channels: int, size: int) -> nn.Conv2d:
  return nn.Conv2d(in_channels, out_channels, size, padding=size // 2, padding_mode="reflect")


def torch_hourglass(channels, image_channels: int = 3) -> nn.Sequential:
  """The default hourglass in plain PyTorch layers: [1, 32, H, W] -> [1, image_channels, H, W]."""
  layers, width = [], 32
  for features in channels:
    layers += [_conv(width, features, 5), nn.AvgPool2d(2), nn.BatchNorm2d(features),
               nn.LeakyReLU(0.2), _conv(features, features, 5), nn.BatchNorm2d(features),
               nn.LeakyReLU(0.2)]
    width = features
  for features in reversed(channels):
    layers += [nn.Upsample(scale_factor=2, mode="nearest"), nn.BatchNorm2d(width),
               _conv(width, features, 3), nn.BatchNorm2d(features), nn.LeakyReLU(0.2)]
    width = features
  return nn.Sequential(*layers, nn.Conv2d(width, image_channels, 1), nn.Sigmoid())


def torch_weight_steps(net: nn.Module, net_input, measurement, learning_rate: float):
  """Return run(count): that many dense deep-image-prior steps of Adam; returns the last loss."""
  optimizer = torch.optim.Adam(net.parameters(), learning_rate)
  def run(count: int) -> float:
    for _ in range(count):
      optimizer.zero_grad()
      loss = nn.functional.mse_loss(net(net_input), measurement)
      loss.backward()
      optimizer.step()
    return loss.item()
  return run
