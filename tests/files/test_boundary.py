"""Readers: whatever a decoder raises is a ValueError of one line, and what ends the program passes."""

import pathlib
import struct

import numpy as np
import picture_files
import pytest

from oes_jax.files import _boundary as boundary
from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources


@pytest.mark.parametrize("error", [
    struct.error("cut"), IndexError("cut"), RecursionError("cut"), MemoryError("cut"), SyntaxError("cut"),
    ValueError("cut.\nat length"), type("ErrorOfALibrary", (Exception,), {})("cut")], ids=lambda error: type(error).__name__)
def test_every_exception_becomes_a_value_error_that_says_why(error):
  with pytest.raises(ValueError) as caught:
    with boundary.reading("data.source='x' cannot be read"):
      raise error
  assert str(caught.value) == "data.source='x' cannot be read: cut." and caught.value.__cause__ is error


def test_an_exception_without_words_is_named_and_the_class_can_be_given():
  with pytest.raises(UnicodeError, match="^fault: MemoryError.$"):
    with boundary.reading("fault", UnicodeError):
      raise MemoryError


def test_what_a_colon_announces_stands_in_the_line():
  with pytest.raises(ValueError, match="^fault: All decoders failed: one needs 8 bits.$"):
    with boundary.reading("fault"):
      raise RuntimeError("All decoders failed:\n  one needs 8 bits\n  another is missing")


def test_what_fails_to_be_saved_is_an_os_error_that_says_why():
  with pytest.raises(OSError, match="^x cannot be saved: RESOURCE_EXHAUSTED.$") as caught:
    with boundary.saving("x cannot be saved"):
      raise ValueError("RESOURCE_EXHAUSTED\nand more")
  assert isinstance(caught.value.__cause__, ValueError)
  with pytest.raises(PermissionError) as passed:
    with boundary.saving("x cannot be saved"):
      raise PermissionError(13, "no", "x")
  assert passed.value.filename == "x"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_passes(error):
  with pytest.raises(error):
    with boundary.reading("fault"):
      raise error


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
  """Return the bytes with one flipped, some cut out, or some put in."""
  place, kind = int(rng.integers(len(data))), rng.integers(3)
  if kind == 0:
    return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1:]
  if kind == 1:
    return data[:place] + data[place + int(rng.integers(1, 9)):]
  return data[:place] + rng.bytes(int(rng.integers(1, 9))) + data[place:]


@pytest.mark.filterwarnings("ignore")  # what the decoders say of damaged files
@pytest.mark.parametrize("name", ["png 8-bit RGB", "png 16-bit RGB", "tiff uint8 RGB", "tiff deflated", "npy float32 2-D"])
def test_a_damaged_file_is_listed_and_is_read_or_names_the_source(tmp_path, name):
  suffix, data, *_ = picture_files.FILES[name]
  rng = np.random.default_rng(0)
  for _ in range(60):
    path = picture_files.write(tmp_path, suffix, _flipped(data, rng))
    for source in sources.list_sources(str(tmp_path)):
      try:
        pictures.read_picture(source)
      except ValueError as error:
        assert "data.source=" in str(error) and pathlib.Path(path).name in str(error)
