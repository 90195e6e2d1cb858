"""The default hourglass and its weight steps in PyTorch, which ours is timed against; the extra `bench` installs it."""

import torch
from torch import nn


def _conv(in_channels: int, out_channels: int, size: int) -> nn.Conv2d:
  return nn.Conv2d(in_channels, out_channels, size, padding=size // 2, padding_mode="reflect")


def torch_hourglass(channels, image_channels: int = 3) -> nn.Sequential:
  """Return the default hourglass in plain PyTorch layers: [1, 32, H, W] -> [1, image_channels, H, W].

  Args:
    channels: the widths of the scales, from the finest to the coarsest.
    image_channels: the image's number of channels.
  """
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
  """Return run(count), which takes that many dense deep-image-prior steps of Adam and returns the last loss.

  Args:
    net: the network, [1, 32, H, W] -> [1, C, H, W].
    net_input: its input, [1, 32, H, W].
    measurement: the image that it is fitted to, [1, C, H, W].
    learning_rate: Adam's learning rate.
  """
  optimizer = torch.optim.Adam(net.parameters(), learning_rate)
  def run(count: int) -> float:
    for _ in range(count):
      optimizer.zero_grad()
      loss = nn.functional.mse_loss(net(net_input), measurement)
      loss.backward()
      optimizer.step()
    return loss.item()
  return run
