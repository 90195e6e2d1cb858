"""What a restored PNG file takes over of the PNG or JPEG file that it was made of: profile, resolution, EXIF and texts."""

import io
import struct
from typing import Iterable

from PIL import Image as PillowImage
from PIL import PngImagePlugin
import png

from oes_jax.files import _inflation
from oes_jax.files import _orientation

Chunks = tuple[tuple[bytes, bytes], ...]
_EXIF, _PIXELS, _XMP = b"eXIf", b"pHYs", b"iTXt"
# What tells colours, size and origin. The rest (transparency, background, histogram, time) is of the stored values.
_KEPT = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"tEXt", b"zTXt", _PIXELS, _EXIF, _XMP)
_HEADER_END, _SAMPLES = 33, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples of a pixel by the header's number of colours
_MOST = 2 ** 31 - 1  # of any number in PNG
_PER_UNIT = struct.Struct(">IIB")  # pixels per unit along x and y, and the unit


def carried(chunks: Iterable[tuple[bytes, bytes]]) -> Chunks:
  """Return those chunks of a PNG file that a restored one takes over, up to where they can be read."""
  kept = []
  try:
    for kind, body in chunks:
      if kind in _KEPT and (kind != _PIXELS or len(body) == _PER_UNIT.size):
        kept.append((bytes(kind), bytes(body)))
  except png.Error:  # the pixels say whether that matters
    pass
  return tuple(kept)


def read_chunks(data: bytes) -> Chunks:
  """Return what is carried of a PNG file."""
  return carried(png.Reader(bytes=data).chunks())


def check_size(data: bytes) -> None:
  """Refuse a PNG file whose header says more pixels than its bytes can hold, which would be filled up for minutes.

  Raises:
    ValueError: so it is, or its header is damaged.
  """
  if len(data) < _HEADER_END or data[25] not in _SAMPLES:
    raise ValueError("its header is damaged")
  width, height, depth, colours = struct.unpack(">IIBB", data[16:26])
  raw = height * (width * depth * _SAMPLES[colours] // 8 + 1)
  if raw > _inflation.MOST_RATIO * len(data):
    raise ValueError(f"its header says {height}x{width} pixels, which its {len(data)} bytes cannot hold")


def join(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
  """Return the content of a PNG file of these chunks."""
  stream = io.BytesIO()
  png.write_chunks(stream, chunks)
  return stream.getvalue()


def chunks_of_jpeg(image: PillowImage.Image) -> Chunks:
  """Return what is carried of an opened JPEG file: Pillow says it in PNG's chunks."""
  texts, info = PngImagePlugin.PngInfo(), image.info
  if "xmp" in info:
    texts.add_itxt("XML:com.adobe.xmp", info["xmp"].decode(errors="replace"))
  if "comment" in info:
    texts.add_text("Comment", info["comment"].decode("latin-1"))
  stream = io.BytesIO()
  PillowImage.new("L", (1, 1)).save(stream, "PNG", pnginfo=texts, **{
      name: info[key] for name, key in (("icc_profile", "icc_profile"), ("dpi", "dpi"), ("exif", "exif")) if info.get(key)})
  return read_chunks(stream.getvalue())


def orientation_of(chunks: Chunks) -> int:
  """Return the value of the orientation tag of an EXIF chunk; 1 where there is none."""
  return _read_exif(chunks).get(_orientation.TAG, 1)


def _read_exif(chunks: Chunks) -> PillowImage.Exif:
  exif = PillowImage.Exif()
  exif.load(dict(chunks).get(_EXIF, b""))
  return exif


def turned(chunks: Chunks, orientation: int) -> Chunks:
  """Return what is carried of a picture that was turned: the tag is gone, from EXIF and with the whole of XMP."""
  exif = _read_exif(chunks)
  exif.pop(_orientation.TAG, None)
  changed = []
  for kind, body in chunks:
    if kind == _PIXELS and orientation in _orientation.SWAPPING:
      across, along, unit = _PER_UNIT.unpack(body)
      body = _PER_UNIT.pack(along, across, unit)
    if kind == _EXIF:
      body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    if not (kind == _XMP and body.startswith(b"XML:com.adobe.xmp\x00")):
      changed.append((kind, body))
  return tuple(changed)


def insert_chunks(data: bytes, chunks: Chunks, scale: tuple[float, float]) -> bytes:
  """Return the content of a PNG file with the chunks after its header.

  Args:
    data: content of the file, with pixels alone.
    chunks: what it takes over.
    scale: height and width of a pixel, in those of the file that the chunks come from.
  """
  header, *rest = png.Reader(bytes=data).chunks()
  scaled = [(kind, _rescale(body, scale) if kind == _PIXELS else body) for kind, body in chunks]
  return join([header, *scaled, *(chunk for chunk in rest if bytes(chunk[0]) not in _KEPT)])


def _rescale(body: bytes, scale: tuple[float, float]) -> bytes:
  across, along, unit = _PER_UNIT.unpack(body)
  return _PER_UNIT.pack(*(min(round(count / size), _MOST) for count, size in ((across, scale[1]), (along, scale[0]))), unit)
