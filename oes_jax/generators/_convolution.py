"""Convolutions of one image, written so that they stay fast in scans and under vmap.

Every layer of a generator is reduced to ONE primitive, `convolve`: a stride-1 "valid"
correlation. Pooling and upsampling are folded into its kernel by two exact identities:

* conv k x k then average pool 2 is a (k+1) x (k+1) convolution of stride 2 whose kernel is the
  old one box-filtered by 2 x 2. On the 2 x 2 space-to-depth image it has stride 1.
* nearest x2 then conv 3 x 3: the 2 x 2 block of fine pixels around each coarse corner sees only
  the 2 x 2 coarse pixels that meet there. So one 2 x 2 convolution to four times the channels,
  moved from depth to space, gives the fine image.

Both need the borders that the functions state, and hold to float rounding.
"""

from typing import Literal

from jax import lax
import jax.numpy as jnp

from oes_jax import backends

Implementation = Literal["gemm", "lax"]


def resolve_implementation(name: str, backend: str) -> Implementation:
  """Turn the config value `conv` (gemm, lax or auto) into an implementation for `backend`."""
  if name == "auto":
    return backends.choices_of(backend).conv
  if name not in CONVOLUTIONS:
    raise ValueError(f"conv={name!r} is unknown; allowed: auto, {', '.join(CONVOLUTIONS)}.")
  return name


def _convolve_gemm(image, kernel, precision, out_dtype):
  """Concatenate the column shifts, do one GEMM for all kernel rows, add the row shifts.

  The patches hold kw times the input's channels (full im2col: kh * kw times), and the product
  has kh * out channels, so neither side of the GEMM is thin.
  """
  kernel_h, kernel_w, in_channels, out_channels = kernel.shape
  padded_h = image.shape[0]
  height, width = padded_h - kernel_h + 1, image.shape[1] - kernel_w + 1
  columns = jnp.concatenate([image[:, j:j + width] for j in range(kernel_w)], axis=-1)
  matrix = kernel.transpose(1, 2, 0, 3).reshape(kernel_w * in_channels, kernel_h * out_channels)
  rows = jnp.dot(columns.reshape(padded_h * width, -1), matrix, precision=precision)
  rows = rows.reshape(padded_h, width, kernel_h, out_channels).astype(out_dtype)
  return sum(rows[i:i + height, :, i] for i in range(kernel_h))


def _convolve_lax(image, kernel, precision, out_dtype):
  return lax.conv_general_dilated(
      image[None], kernel, window_strides=(1, 1), padding="VALID",
      dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=precision)[0].astype(out_dtype)


def convolve(image, kernel, *, implementation: Implementation = "gemm", precision=None,
             dtype=None):
  """Correlate an image with a kernel, stride 1, no padding.

  Args:
    image: [H, W, in_channels].
    kernel: [kh, kw, in_channels, out_channels].
    implementation: "gemm" (patches and one matrix product) or "lax" (`lax.conv`).
    precision: precision of the products, a name of `jax.lax.Precision`; None is the backend's default.
    dtype: what both factors, and their products summed over channels and columns, are rounded to;
      None leaves them.

  Returns:
    [H - kh + 1, W - kw + 1, out_channels], of the dtype of `image`.
  """
  rounded = (image, kernel) if dtype is None else (image.astype(dtype), kernel.astype(dtype))
  return CONVOLUTIONS[implementation](*rounded, precision, image.dtype)


def pad_image(image, width: int, mode: str):
  """Pad both spatial axes of [H, W, C] by `width`; `mode` as in `jnp.pad`."""
  if width == 0:
    return image
  if mode == "reflect" and width >= min(image.shape[:2]):
    # jnp.pad would silently reflect twice; PyTorch refuses, and so do we.
    raise ValueError(f"a reflect pad of {width} needs more than {width} pixels, got "
                     f"{image.shape[0]}x{image.shape[1]}: lower num_scales.")
  return jnp.pad(image, ((width, width), (width, width), (0, 0)), mode=mode)


def space_to_depth(image):
  """[H, W, C] -> [H/2, W/2, 4C], the channel order being (row, column, channel)."""
  height, width, channels = image.shape
  blocks = image.reshape(height // 2, 2, width // 2, 2, channels)
  return blocks.transpose(0, 2, 1, 3, 4).reshape(height // 2, width // 2, 4 * channels)


def depth_to_space(image):
  """[H, W, 4C] -> [2H, 2W, C]; the inverse of `space_to_depth`."""
  height, width, channels = image.shape[0], image.shape[1], image.shape[2] // 4
  blocks = image.reshape(height, width, 2, 2, channels)
  return blocks.transpose(0, 2, 1, 3, 4).reshape(2 * height, 2 * width, channels)


def conv(image, kernel, **options):
  """Convolve with a reflect pad of half the (odd) kernel: [H, W, I] -> [H, W, O]."""
  return convolve(pad_image(image, kernel.shape[0] // 2, "reflect"), kernel, **options)


def conv_then_pool(image, kernel, **options):
  """Reflect-padded convolution, then 2 x 2 average pooling, in one: [H, W, I] -> [H/2, W/2, O].

  Args:
    image: [H, W, I], H and W even.
    kernel: [k, k, I, O], k odd.
    **options: options of `convolve`.
  """
  size, _, in_channels, out_channels = kernel.shape
  padded = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
  box = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
  half = (size + 1) // 2
  box = box.reshape(half, 2, half, 2, in_channels, out_channels).transpose(0, 2, 1, 3, 4, 5)
  box = box.reshape(half, half, 4 * in_channels, out_channels)
  return convolve(space_to_depth(pad_image(image, size // 2, "reflect")), box, **options)


def _corner_taps(kernel):
  """Axis 0: the 3 taps of a kernel -> [2 coarse taps, 2 fine phases, ...] around a corner.

  Fine pixel 2a - 1 (phase 0) is the last of coarse pixel a - 1, fine pixel 2a (phase 1) the
  first of coarse pixel a; each sees only these two coarse pixels.
  """
  first, middle, last = kernel
  return jnp.stack([jnp.stack([first + middle, first]), jnp.stack([last, middle + last])])


def upsample_then_conv(image, kernel, **options):
  """Nearest x2, then reflect-padded 3 x 3 convolution, in one: [H, W, I] -> [2H, 2W, O].

  The reflect pad of 1 on the fine grid is an edge pad of 1 on the coarse one.

  Args:
    image: [H, W, I].
    kernel: [3, 3, I, O].
    **options: options of `convolve`.
  """
  in_channels, out_channels = kernel.shape[2:]
  rows = _corner_taps(kernel).transpose(2, 0, 1, 3, 4)  # [3, tap, phase, I, O]
  taps = _corner_taps(rows)                             # [tap x, phase x, tap y, phase y, I, O]
  taps = taps.transpose(2, 0, 4, 3, 1, 5).reshape(2, 2, in_channels, 4 * out_channels)
  corners = convolve(pad_image(image, 1, "edge"), taps, **options)
  return depth_to_space(corners)[1:-1, 1:-1]


def concatenate_then_conv(fine, coarse, kernel, **options):
  """Concatenate an image with a nearest x2 upsampled one, then convolve 3 x 3 with a reflect pad, in one.

  A convolution of concatenated channels is the sum of those of the parts.

  Args:
    fine: [2H, 2W, I].
    coarse: [H, W, J].
    kernel: [3, 3, I + J, O], first the taps of `fine`.
    **options: options of `convolve`.

  Returns:
    [2H, 2W, O].
  """
  channels = fine.shape[-1]
  return (conv(fine, kernel[:, :, :channels], **options)
          + upsample_then_conv(coarse, kernel[:, :, channels:], **options))


def upsample_bilinear(image):
  """Bilinear x2 with half-pixel centres and clamped edges: [H, W, C] -> [2H, 2W, C]."""
  def double(x):  # along axis 0
    padded = jnp.concatenate([x[:1], x, x[-1:]])
    even = 0.25 * padded[:-2] + 0.75 * x
    odd = 0.75 * x + 0.25 * padded[2:]
    return jnp.stack([even, odd], axis=1).reshape(2 * x.shape[0], *x.shape[1:])
  return double(double(image).swapaxes(0, 1)).swapaxes(0, 1)


def normalise_channels(image, scale, offset, *, epsilon: float = 1e-5):
  """Normalise each channel of one image over its pixels: PyTorch's train-mode BatchNorm at batch 1.

  Args:
    image: [H, W, C].
    scale: [C].
    offset: [C].
    epsilon: small number that is added to the biased variance.
  """
  centred = image - jnp.mean(image, axis=(0, 1), keepdims=True)
  variance = jnp.mean(jnp.square(centred), axis=(0, 1), keepdims=True)
  return centred * (scale[None, None] * lax.rsqrt(variance + epsilon)) + offset[None, None]


CONVOLUTIONS = {"gemm": _convolve_gemm, "lax": _convolve_lax}
