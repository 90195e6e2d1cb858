"""What automatic settings choose by backend: measured where a date is given, else a guess that says so."""

from typing import Literal, NamedTuple


class Backend(NamedTuple):
  """Automatic choices of a backend.

  Attributes:
    conv: form of the convolutions, "gemm" or "lax"; see `generators.convolve`.
    dtype: type of the convolutions' factors and products, "float32" or "bfloat16".
    chunk_work: pixels times steps of a compiled chunk, so that it lasts a second or two.
    images_at_once: images that a device restores together, where the memory suffices.
  """
  conv: Literal["gemm", "lax"]
  dtype: Literal["float32", "bfloat16"]
  chunk_work: int
  images_at_once: int


# CPU, 2 cores: a dense step at 256x256 in a scan takes 100 ms with gemm, lax.conv outside of one 156 ms and inside 5 to 20 times
# that (2026-11-24); a dense step at 128x128 takes 33 ms (2026-11-24); 1, 2 and 4 images at once cost alike per image from 64 to 160
# pixels, and fewer programs are compiled (2026-11-25); bfloat16 saves nothing.
# GPU and TPU: guesses. gemm is the form that stays fast under vmap, float32 the type that cannot cost quality.
# `python -m oes_jax.bench device` measures them all.
_ACCELERATOR = Backend("gemm", "float32", 50_000_000, 16)
BACKENDS = {"cpu": Backend("gemm", "float32", 1_000_000, 4), "gpu": _ACCELERATOR, "tpu": _ACCELERATOR}


def choices_of(backend: str) -> Backend:
  """Return the choices of a backend, a name that jax.default_backend() returns; of an unknown one those of an accelerator, with
  one image at once.
  """
  return BACKENDS.get(backend, _ACCELERATOR._replace(images_at_once=1))
