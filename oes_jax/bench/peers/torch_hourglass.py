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


def fast_weight_steps(channels, size: int, precision: str, learning_rate: float = 0.01):
  """Return run(count), which takes dense weight steps, ends when they have, and returns the last loss.

  On a CUDA card: channels last, cuDNN's search for the fastest kernels, fused Adam, and the whole step captured as a CUDA
  graph. Nothing is compiled (torch.compile).

  Args:
    channels: the widths of the scales.
    size: side of the RGB image, pixels.
    precision: float32, tf32 (on CUDA cards) or bfloat16 (autocast).
    learning_rate: Adam's learning rate.
  """
  cuda = torch.cuda.is_available()
  device = "cuda" if cuda else "cpu"
  torch.backends.cudnn.benchmark = True
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
  form = torch.channels_last if cuda else torch.contiguous_format
  net = torch_hourglass(channels).to(device, memory_format=form)
  net_input = (0.1 * torch.rand(1, 32, size, size)).to(device, memory_format=form)
  measurement = torch.rand(1, 3, size, size).to(device, memory_format=form)
  optimizer = torch.optim.Adam(net.parameters(), learning_rate, capturable=cuda, fused=cuda)
  def step() -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=not cuda):
      loss = nn.functional.mse_loss(net(net_input).float(), measurement)
    loss.backward()
    optimizer.step()
    return loss.detach()
  advance = _captured(step) if cuda else step
  def run(count: int) -> float:
    for _ in range(count):
      loss = advance()
    return loss.item()
  run.kept = net, optimizer, net_input, measurement  # a graph reads and writes their memory
  return run


def _captured(step):
  """Return a step of a CUDA card as a graph of it, captured after three steps that warm up."""
  aside = torch.cuda.Stream()
  aside.wait_stream(torch.cuda.current_stream())
  with torch.cuda.stream(aside):
    for _ in range(3):
      step()
  torch.cuda.current_stream().wait_stream(aside)
  graph = torch.cuda.CUDAGraph()
  with torch.cuda.graph(graph):
    loss = step()
  def replay():
    graph.replay()
    return loss
  return replay
