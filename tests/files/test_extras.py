"""What is not installed is named in one line, with the extra that brings it, and nothing else is in need of it."""

import configparser
import importlib
import pathlib
import sys

import numpy as np
import pytest
import tifffile

from oes_jax import files
from oes_jax.files import _extras as extras
from oes_jax.files import _tiff as tiff

SETUP = pathlib.Path(__file__).parents[2] / "setup.cfg"


def _read_setup():
  read = configparser.ConfigParser()
  read.read(SETUP)
  return read


@pytest.mark.parametrize("missing, source, said", [
    ("pydicom", "ct_slice", r"data.source='ct_slice' cannot be read as an image: it comes with pydicom and needs pydicom; "
     r'allowed: pip install "oes_jax\[dicom\]"\.'),
    ("pydicom", "a.dcm", r'cannot be read as an image: DICOM needs pydicom; allowed: pip install "oes_jax\[dicom\]"\.'),
    ("tensorflow_datasets", "tfds:none@0", r'a data set needs tensorflow_datasets; allowed: pip install "oes_jax\[tfds\]"\.')])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, missing, source, said):
  monkeypatch.setitem(sys.modules, missing, None)
  monkeypatch.chdir(tmp_path)
  pathlib.Path("a.dcm").write_bytes(bytes(200))
  with pytest.raises(ValueError, match=said):
    files.read_picture(source)


def test_a_missing_codec_is_named_with_its_extra_and_plain_files_are_read(tmp_path, monkeypatch):
  values = np.arange(256, dtype=np.uint16).reshape(16, 16)
  for kind in (None, "zlib", "lzw", "zstd"):
    tifffile.imwrite(tmp_path / f"{kind}.tif", values, compression=kind)
  monkeypatch.setitem(sys.modules, "imagecodecs", None)
  monkeypatch.setattr(tifffile.tifffile, "imagecodecs", importlib.import_module("tifffile._imagecodecs"))
  monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {1: None})
  for kind in (None, "zlib"):
    assert np.array_equal(tiff.read_image((tmp_path / f"{kind}.tif").read_bytes(), None).values, values)
  for kind in ("lzw", "zstd"):
    with pytest.raises(ValueError, match=r'its compression needs imagecodecs; allowed: pip install "oes_jax\[tiff\]"$'):
      tiff.read_image((tmp_path / f"{kind}.tif").read_bytes(), None)


def test_another_fault_is_not_taken_for_a_missing_package():
  with pytest.raises(ImportError, match="broken"), extras.needed("DICOM", "dicom"):
    raise ImportError("broken")


def test_every_extra_that_is_named_is_there_and_all_has_each():
  there = _read_setup()["options.extras_require"]
  named = {"dicom", "fits", "hdf5", "tiff", "tfds", "tensorboard"}
  assert named | {"all", "test", "bench", "docs"} == set(there)
  assert set(there["all"].strip().removeprefix("oes_jax[").removesuffix("]").split(",")) == named
