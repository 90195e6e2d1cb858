"""DICOM files keep their header, their bits and the size of their pixels."""

import io
import struct
import sys

import numpy as np
import pydicom
from pydicom import data as pydicom_data
import pytest

from oes_jax import files
from oes_jax.files import _dicom as dicom
from oes_jax.files import _pictures as pictures


@pytest.mark.parametrize("name", dicom.DICOM_SLICES)
def test_a_dicom_file_keeps_its_header_and_values(tmp_path, name):
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice(name))
  picture = pictures.read_picture(str(tmp_path / "slice.dcm"))
  again = pictures.read_picture(name)
  np.testing.assert_array_equal(picture.values, again.values)
  assert picture.values.dtype == np.int16 and again.bundled and not picture.bundled
  changed = picture.values + np.int16(3)
  written = pydicom.dcmread(files.write_picture(tmp_path / "out", changed, picture))
  before = pydicom.dcmread(tmp_path / "slice.dcm")
  np.testing.assert_array_equal(written.pixel_array, changed[..., 0])
  for tag in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "PatientID", "PixelSpacing"):
    assert written.get(tag) == before.get(tag)


def test_dicom_says_how_large_the_pixels_are_that_are_written(tmp_path):
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice("ct_slice"))
  source, before = str(tmp_path / "slice.dcm"), pydicom.dcmread(tmp_path / "slice.dcm").PixelSpacing
  for picture, finer, expected in (
      (pictures.read_picture(source, (0, 0, 64, 64)), 1, 1),  # a crop changes nothing
      (pictures.read_picture(source, max_side=32), 1, 4),
      (pictures.read_picture(source), 2, 0.5)):  # super-resolution
    values = np.kron(picture.values, np.ones((finer, finer, 1), np.int16))
    written = pydicom.dcmread(files.write_picture(tmp_path / "out", values, picture))
    assert written.Rows == values.shape[0]
    np.testing.assert_allclose(written.PixelSpacing, expected * np.array(before, float), rtol=1e-6)


@pytest.mark.parametrize("spacing, expected", [(None, None), ([2.0, 3.0], (4.0, 9.0))])
def test_an_emptied_dicom_spacing_stays_empty_and_both_sides_have_their_own(tmp_path, spacing, expected):
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("ct_slice")))
  dataset.PixelSpacing = spacing
  dataset.save_as(tmp_path / "slice.dcm")
  values = dicom.read_dicom((tmp_path / "slice.dcm").read_bytes())
  dicom.write_dicom(tmp_path / "out.dcm", values, (tmp_path / "slice.dcm").read_bytes(), (2, 3))
  written = pydicom.dcmread(tmp_path / "out.dcm").PixelSpacing
  assert (written and tuple(map(float, written))) == expected


def _enhanced():
  """Return a slice whose place, spacing and rescale lie in functional groups, as enhanced files have them."""
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("ct_slice")))
  dataset.NumberOfFrames = 1
  groups = {"Shared": {"PixelMeasures": ["PixelSpacing"], "PlaneOrientation": ["ImageOrientationPatient"]},
            "PerFrame": {"PlanePosition": ["ImagePositionPatient"],
                         "PixelValueTransformation": ["RescaleSlope", "RescaleIntercept"]}}
  for kind, macros in groups.items():
    group = pydicom.Dataset()
    for macro, names in macros.items():
      part = pydicom.Dataset()
      for name in names:
        part[name] = dataset[name]
        del dataset[name]
      setattr(group, f"{macro}Sequence", [part])
    setattr(dataset, f"{kind}FunctionalGroupsSequence", [group])
  stream = io.BytesIO()
  dataset.save_as(stream)
  return stream.getvalue()


def test_functional_groups_of_an_enhanced_file_follow_a_crop_and_other_pixels_as_a_plain_files_elements(tmp_path):
  written = []
  for name, data in (("plain", dicom.read_slice("ct_slice")), ("enhanced", _enhanced())):
    (tmp_path / f"{name}.dcm").write_bytes(data)
    picture = pictures.read_picture(str(tmp_path / f"{name}.dcm"), (8, 16, 64, 64), max_side=32)
    written.append(pydicom.dcmread(files.write_picture(tmp_path / f"{name}-out", picture.values, picture)))
    assert picture.rescale == (1.0, -1024.0)
  plain, (shared,), (frame,) = written[0], *(written[1][f"{kind}FunctionalGroupsSequence"].value for kind in ("Shared", "PerFrame"))
  assert shared.PixelMeasuresSequence[0].PixelSpacing == plain.PixelSpacing
  assert frame.PlanePositionSequence[0].ImagePositionPatient == plain.ImagePositionPatient
  assert "PixelSpacing" not in written[1] and "ImagePositionPatient" not in written[1]


def test_dicom_values_are_clipped_to_their_bits_and_colours_are_rgb(tmp_path):
  data = dicom.read_slice("ct_slice")
  dataset = pydicom.dcmread(io.BytesIO(data))
  bits = dataset.BitsStored
  values = np.full((4, 5), np.iinfo(np.int16).max, np.int16)
  dicom.write_dicom(tmp_path / "out.dcm", values, data)
  assert pydicom.dcmread(tmp_path / "out.dcm").pixel_array.max() == 2 ** (bits - 1) - 1
  colour = pydicom_data.get_testdata_file("SC_ybr_full_uncompressed.dcm", download=False)
  if colour is not None:
    picture = pictures.read_picture(colour)
    again = pictures.read_picture(str(files.write_picture(tmp_path / "colour", picture.values, picture)))
    np.testing.assert_array_equal(again.values, picture.values)


@pytest.mark.parametrize("source", ["slice.dcm", "ct_slice"])
def test_a_missing_package_names_the_source(tmp_path, monkeypatch, source):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice("ct_slice"))
  monkeypatch.setitem(sys.modules, "pydicom", None)
  with pytest.raises(ValueError, match=f"data.source='{source}' cannot be read as an image: .*pydicom"):
    pictures.read_picture(source)


def _deflated(name: str, more: int = 0) -> bytes:
  """Return a slice of pydicom's as a deflated file, with some zeros behind its pixels."""
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice(name)))
  dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
  dataset.add_new(0x7FE10010, "OB", bytes(more))
  file = io.BytesIO()
  dataset.save_as(file)
  return file.getvalue()


def test_a_deflated_file_is_read_and_a_bomb_is_refused_before_it_is_inflated(monkeypatch):
  plain = dicom.read_dicom(dicom.read_slice("ct_slice"))
  np.testing.assert_array_equal(dicom.read_dicom(_deflated("ct_slice")), plain)
  bomb = _deflated("ct_slice", more=10 ** 8)
  assert len(bomb) < 200_000
  monkeypatch.setattr(dicom._free_memory, "free_memory", lambda: 10 ** 8)
  monkeypatch.setattr(pydicom, "dcmread", lambda *_: pytest.fail("it was inflated"))
  with pytest.raises(ValueError, match="it says that it holds .* bytes; allowed: at most the 100000000 that are free"):
    dicom.read_dicom(bomb)


def test_a_high_bit_elsewhere_is_refused_and_extremes_are_those_of_no_restored_image(tmp_path):
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("mr_slice")))
  dataset.SmallestImagePixelValue = 3
  dataset.save_as(tmp_path / "slice.dcm")
  picture = pictures.read_picture(str(tmp_path / "slice.dcm"))
  assert "SmallestImagePixelValue" not in pydicom.dcmread(files.write_picture(tmp_path / "out", picture.values, picture))
  dataset.BitsStored, dataset.HighBit = 12, 15
  dataset.save_as(tmp_path / "slice.dcm")
  with pytest.raises(ValueError, match="its HighBit is 15 of 12 bits stored; allowed: 11"):
    pictures.read_picture(str(tmp_path / "slice.dcm"))


def test_a_pixel_spacing_that_is_no_number_is_refused_when_the_file_is_read(tmp_path):
  data = dicom.read_slice("ct_slice").replace(b"0.661468", b"0.66146D", 1)
  assert b"0.66146D" in data
  (tmp_path / "slice.dcm").write_bytes(data)
  with pytest.raises(ValueError, match="slice.dcm' cannot be read as an image: could not convert string to float: '0.66146D"):
    pictures.read_picture(str(tmp_path / "slice.dcm"))


def test_an_element_that_cannot_be_written_in_pixels_of_its_own_is_refused_when_the_file_is_read(tmp_path):
  (tmp_path / "slice.dcm").write_bytes(dicom.read_slice("ct_slice") + struct.pack("<HHI", 0x0399, 0x038D, 4) + b"abcd")  # no type
  with pytest.raises(ValueError, match=r"slice.dcm' cannot be read as an image: With tag \(0399,038D\) got exception"):
    pictures.read_picture(str(tmp_path / "slice.dcm"))


def _changed(path, values=None, **elements):
  """Write the CT slice with other elements, or without those that are None; return its path."""
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("ct_slice")))
  if values is not None:
    dataset.set_pixel_data(values, "MONOCHROME2", 16)
  for name, value in elements.items():
    if value is None:
      del dataset[name]
    else:
      setattr(dataset, name, value)
  dataset.add_new(0x60020010, "US", 128)
  dataset.add_new(0x60023000, "OW", bytes(128 * 128 // 8))
  dataset.save_as(path)
  return str(path)


@pytest.mark.parametrize("crop, max_side, finer, expected", [
    (None, None, 1, (0, 0, 5)), ((10, 20, 32, 32), None, 1, (14, 5, 5)), (None, 32, 1, (1.05, 0.75, 5)),
    ((10, 20, 32, 32), 16, 1, (14.35, 5.25, 5)), ((10, 20, 32, 32), None, 2, (13.825, 4.875, 5))])
def test_the_position_of_a_slice_is_that_of_its_first_pixel_and_overlays_are_of_the_whole(
    tmp_path, caplog, crop, max_side, finer, expected):
  path = _changed(tmp_path / "slice.dcm", ImagePositionPatient=[0, 0, 5], PixelSpacing=[0.5, 0.7])
  picture = pictures.read_picture(path, crop, max_side=max_side)
  values = np.kron(picture.values, np.ones((finer, finer, 1), np.int16))
  written = pydicom.dcmread(files.write_picture(tmp_path / "out", values, picture))
  np.testing.assert_allclose(np.array(written.ImagePositionPatient, float), expected, atol=1e-6)
  whole = crop is None and max_side is None
  assert (0x60023000 in written) == whole == (not picture.remarks) and not caplog.records
  assert whole or picture.remarks == ("its overlays hold for the whole image in its own pixels, and are not kept",)


def test_what_super_resolution_drops_is_said(tmp_path, caplog):
  picture = pictures.read_picture(_changed(tmp_path / "slice.dcm", ImageOrientationPatient=None))
  files.write_picture(tmp_path / "out", np.kron(picture.values, np.ones((2, 2, 1), np.int16)), picture)
  assert "its overlays hold for" in caplog.text and "its ImagePositionPatient is left as it is" in caplog.text
  cropped = pictures.read_picture(str(tmp_path / "slice.dcm"), (1, 2, 16, 16))
  assert "its ImagePositionPatient is left as it is" in cropped.remarks[1]


def test_padding_is_said_and_where_0_is_white_the_picture_is_a_negative(tmp_path):
  values = np.full((16, 16), 50, np.int16)
  values[:2, :3], values[8:, 9] = -2000, -1990
  padded = _changed(tmp_path / "padded.dcm", values, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")
  picture = pictures.read_picture(padded)
  assert picture.is_negative and not pictures.read_picture("ct_slice").is_negative
  assert picture.remarks[0].startswith("its PixelPaddingValue says that the 6 values -2000 stand for lost pixels")
  assert pictures.read_picture(padded, (2, 0, 8, 8)).remarks == ("its overlays hold for the whole image in its own pixels, and "
                                                                 "are not kept",)
  dataset = pydicom.dcmread(padded)
  dataset.add_new("PixelPaddingRangeLimit", "SS", -1980)
  for syntax in (pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian):
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(tmp_path / "ranged.dcm", dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    assert "the 14 values from -2000 to -1980 stand" in pictures.read_picture(str(tmp_path / "ranged.dcm")).remarks[0]


def _ultrasound(path, **more):
  """Write the CT slice with one region of ultrasound, columns 20 to 99 and rows 10 to 89; return its path."""
  region = pydicom.Dataset()
  for name, value in {"RegionLocationMinX0": 20, "RegionLocationMinY0": 10, "RegionLocationMaxX1": 99, "RegionLocationMaxY1": 89,
                      "ReferencePixelX0": 5, "ReferencePixelY0": -3, "PhysicalDeltaX": 0.01, "PhysicalDeltaY": 0.02, **more}.items():
    setattr(region, name, value)
  dataset = pydicom.dcmread(io.BytesIO(dicom.read_slice("ct_slice")))
  dataset.SequenceOfUltrasoundRegions = [region]
  dataset.save_as(path)
  return str(path)


@pytest.mark.parametrize("crop, max_side, finer, corners, reference, deltas", [
    (None, None, 1, (20, 10, 99, 89), (5, -3), (0.01, 0.02)), (None, None, 2, (40, 20, 199, 179), (10, -6), (0.005, 0.01)),
    (None, 64, 1, (10, 5, 49, 44), (2, -2), (0.02, 0.04)), ((20, 40, 50, 32), None, 1, (0, 0, 31, 49), (-15, -13), (0.01, 0.02)),
    ((20, 40, 64, 32), None, 2, (0, 0, 63, 127), (-30, -26), (0.005, 0.01))])
def test_regions_of_ultrasound_follow_a_crop_and_other_pixels(tmp_path, crop, max_side, finer, corners, reference, deltas):
  picture = pictures.read_picture(_ultrasound(tmp_path / "us.dcm"), crop, max_side=max_side)
  values = np.kron(picture.values, np.ones((finer, finer, 1), np.int16))
  region, = pydicom.dcmread(files.write_picture(tmp_path / "out", values, picture)).SequenceOfUltrasoundRegions
  assert tuple(region[f"RegionLocation{name}"].value for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")) == corners
  assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == pytest.approx(deltas) and not picture.remarks
  np.testing.assert_allclose((region.ReferencePixelX0, region.ReferencePixelY0), reference, atol=1)


def test_a_region_of_ultrasound_outside_of_a_crop_goes_with_a_word(tmp_path, caplog):
  path = _ultrasound(tmp_path / "us.dcm", DopplerSampleVolumeXPosition=7)
  below = pictures.read_picture(path, (95, 20, 16, 16))
  assert "regions of ultrasound outside of it hold for the whole image" in below.remarks[0]
  beside = pictures.read_picture(path, (0, 0, 16, 16))
  assert beside.remarks == ("its sample volumes and lines of ultrasound hold for the whole image in its own pixels, and are not kept",)
  for picture in (below, beside):
    assert not pydicom.dcmread(files.write_picture(tmp_path / "out", picture.values, picture)).SequenceOfUltrasoundRegions
  assert caplog.text.count("1 of its regions of ultrasound lie outside of the image") == 1


def test_shutters_and_the_like_hold_for_the_whole_image(tmp_path, caplog):
  held = {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 5, "CollimatorShape": "CIRCULAR",
          "RadiusOfCircularCollimator": 9, "FieldOfViewOrigin": [1, 2], "ShutterSpeedValue": 3}
  path = _changed(tmp_path / "slice.dcm", **held)
  picture = pictures.read_picture(path, (1, 2, 16, 16))
  assert picture.remarks == ("its shutter, collimator, field of view, overlays hold for the whole image in its own pixels, and are "
                             "not kept",)
  whole = pictures.read_picture(path)
  for values, of, kept in ((picture.values, picture, False), (whole.values, whole, True),
                           (np.kron(whole.values, np.ones((2, 2, 1), np.int16)), whole, False)):
    written = pydicom.dcmread(files.write_picture(tmp_path / "out", values, of))
    assert all((name in written) == (kept or name == "ShutterSpeedValue") for name in held)
  assert "its shutter, collimator, field of view, overlays hold" in caplog.text


def test_a_restored_image_is_derived_and_its_series_is_one_of_its_own(tmp_path):
  def write(kind=("ORIGINAL", "PRIMARY", "AXIAL"), more=0, instance="1.2.3", key="a"):
    path = _changed(tmp_path / "slice.dcm", ImageType=list(kind), SOPInstanceUID=instance, DerivationDescription="cut")
    picture = pictures.read_picture(path)
    values = picture.values + np.int16(more)
    return pydicom.dcmread(path), pydicom.dcmread(
        files.write_picture(tmp_path / "out", values, picture, files.Origin("restored", key)))
  before, first = write()
  assert list(first.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"] and list(write(kind=())[1].ImageType) == ["DERIVED", "SECONDARY"]
  assert first.DerivationDescription.startswith("cut; restored by oes_jax ")
  assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID != before.SOPInstanceUID
  assert before.SeriesInstanceUID != first.SeriesInstanceUID and before.StudyInstanceUID == first.StudyInstanceUID
  names = lambda written: (written.SeriesInstanceUID == first.SeriesInstanceUID, written.SOPInstanceUID == first.SOPInstanceUID)
  assert names(write()[1]) == (True, True)  # what is made again is the same file
  assert names(write(instance="1.2.4")[1]) == names(write(more=1)[1]) == (True, False)
  assert names(write(key="b")[1]) == (False, False)
