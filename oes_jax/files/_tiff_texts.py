"""Texts of a TIFF file that seem to say how large its pixels are, which is no longer true in other pixels."""

import re

import tifffile

from oes_jax.files import _tiff_header

_OF_PIXELS = re.compile(r"mpp|pixel[\s_]?(size|width|height|scale|spacing)|spacing|resolution|microns?[\s_]?per|[\u00b5\u03bc]m|\bum\b",
                        re.IGNORECASE)


def _texts(header: _tiff_header.Header) -> dict[str, str]:
  """Return the texts of a header, by what they are called."""
  tags = {tifffile.TIFF.TAGS.get(tag[0], str(tag[0])): tag[3] for tag in header.tags}
  # What programs count in pixels, and name so, follows by itself.
  entries = {name: value for name, value in header.entries.items() if name in ("Info", "Description")}
  texts = {"ImageDescription": header.description or "", **tags, **entries}
  return {name: text.decode("latin-1") if isinstance(text, bytes) else str(text) for name, text in texts.items()}


def remark_other_pixels(header: _tiff_header.Header) -> tuple[str, ...]:
  """Return a line that names the texts that may say how large the pixels of the file are, where those of an image differ."""
  found = [name for name, text in _texts(header).items() if _OF_PIXELS.search(text)]
  return (f"{', '.join(found)} of the file may say how large its pixels are; the text is kept as it is, and holds no longer for "
          "pixels of another size",) if found else ()
