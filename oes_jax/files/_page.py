"""Pages for a browser, each one self-contained file, and the images inside them.

What comes from outside, such as the names of files, is escaped by the template library, which is imported where a page is
made. A page loads nothing: its Content-Security-Policy forbids it.
"""

import base64
import io
import pathlib
from typing import Any, Sequence

import numpy as np
from PIL import Image as PillowImage

from oes_jax.files import _atomic

REPORT = "report.html"
_UNREADABLE = "backslashreplace"  # bytes of a file's name that are no text


def write_page(path: pathlib.Path, template: str, values: dict[str, Any]) -> None:
  """Write a page.

  Args:
    path: path of the file.
    template: name of one of the templates.
    values: values that the template shows, by name; it fails where one is missing.
  """
  import jinja2  # pylint: disable=import-outside-toplevel
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader("oes_jax.files"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
      lstrip_blocks=True)
  _atomic.write_atomically(path, environment.get_template(template).render(values).encode(errors=_UNREADABLE))


def as_url(png: bytes) -> str:
  """Return the content of a PNG file as a data: URL."""
  return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def encode_images(images: Sequence[np.ndarray], *, side: int, most_bytes: int) -> list[bytes]:
  """Return PNG files of images of one size, [H, W, C] in (0, 1); all are scaled down alike where they are too large.

  Args:
    images: images; other than 1 or 3 channels become their mean, in grey.
    side: longest side, in pixels.
    most_bytes: bytes that all files together have at most, as long as there are pixels to leave out.
  """
  pictures = [_as_picture(image) for image in images]
  while True:
    encoded = [_encode(picture, side) for picture in pictures]
    excess = sum(map(len, encoded)) / most_bytes
    if excess <= 1 or side <= 64:
      return encoded
    side = int(0.95 * min(side, max(pictures[0].size)) / excess ** 0.5)


def shrink_png(png: bytes, side: int) -> bytes:
  """Return the content of a PNG file; that of a longer side, in pixels, is scaled down."""
  picture = PillowImage.open(io.BytesIO(png))
  return png if max(picture.size) <= side else _encode(picture, side)


def _as_picture(image: np.ndarray) -> PillowImage.Image:
  shown = image if image.shape[-1] == 3 else image.mean(-1)
  return PillowImage.fromarray(np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8))


def _encode(picture: PillowImage.Image, side: int) -> bytes:
  stream, scale = io.BytesIO(), min(1, side / max(picture.size))
  size = tuple(max(1, round(scale * length)) for length in picture.size)
  (picture if scale == 1 else picture.resize(size, PillowImage.Resampling.BOX)).save(stream, "PNG")
  return stream.getvalue()
