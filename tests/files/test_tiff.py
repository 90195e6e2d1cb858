"""TIFF files of other programs: how they are read, and what a restored file keeps of them."""

import contextlib
import io
import struct
import tracemalloc

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms
import picture_files
import pytest
import tifffile

from oes_jax import files
from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources
from oes_jax.files import _tiff as tiff

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _written(folder, name, data, **read):
  """Return (picture, path of what is written in its layout) of a file."""
  path = folder / name
  path.write_bytes(data)
  picture = pictures.read_picture(str(path), **read)
  return picture, files.write_picture(folder / "restored", picture.values, picture)


def _pillow(values, **options):
  return picture_files.file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "TIFF", **options))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"])
@pytest.mark.parametrize("channels", [None, 3])
def test_compressed_files_are_read_as_pillow_reads_them(tmp_path, compression, channels):
  smooth = np.add.outer(np.arange(40), 2 * np.arange(48)).astype(np.uint8) // 2
  values = smooth if channels is None else np.stack([smooth, smooth[::-1], 255 - smooth], axis=-1)
  data = _pillow(values, compression=compression)
  picture, path = _written(tmp_path, "a.tif", data)
  expected = picture_files.channels_last(np.asarray(PillowImage.open(io.BytesIO(data))))
  assert np.abs(picture.values.astype(int) - expected).max() <= (2 if compression == "jpeg" else 0)  # two decoders
  np.testing.assert_array_equal(tifffile.imread(path), picture.values[..., 0] if channels is None else picture.values)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", None])
def test_faxes_are_read_as_pillow_reads_them(tmp_path, compression):
  values = np.random.default_rng(0).random((16, 24)) > 0.5
  picture, path = _written(tmp_path, "a.tif", _pillow(values, compression=compression))
  np.testing.assert_array_equal(picture.values[..., 0], values)
  np.testing.assert_array_equal(np.asarray(PillowImage.open(path)), values)


@pytest.mark.parametrize("options", [
    {"tile": (16, 16)}, {"bigtiff": True}, {"compression": "lzw", "predictor": True}, {"compression": "zlib", "tile": (32, 16)},
    {"byteorder": ">"}, {"rowsperstrip": 3, "compression": "zstd"}])
def test_layouts_of_a_file_leave_its_values_alone(tmp_path, options):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (40, 50), dtype=np.uint16)
  picture, _ = _written(tmp_path, "a.tif", picture_files.tiff(values, **options))
  picture_files.assert_same(picture.values[..., 0], values)


def test_what_is_compressed_in_a_way_that_is_not_known_is_refused_by_name(tmp_path):
  with pytest.raises(ValueError, match=r"its compression is JPEGXL; allowed: NONE, CCITTRLE"):
    _written(tmp_path, "a.tif", picture_files.tiff(np.zeros((16, 16), np.uint8), compression="jpegxl"))


@pytest.mark.parametrize("colours", [4, 9])
def test_a_palette_is_resolved_and_that_is_said(tmp_path, colours):
  rng = np.random.default_rng(0)
  table, values = rng.integers(0, 256, (colours, 3), dtype=np.uint8), rng.integers(0, colours, (8, 9), dtype=np.uint8)
  image = PillowImage.fromarray(values, "P")
  image.putpalette(table.tobytes())
  picture, path = _written(tmp_path, "a.tif", picture_files.file_bytes(lambda buffer: image.save(buffer, "TIFF")))
  picture_files.assert_same(picture.values, table[values])
  assert "palette is resolved" in picture.remarks[0]
  np.testing.assert_array_equal(np.asarray(PillowImage.open(path)), table[values])


def test_a_palette_of_greys_gives_one_channel(tmp_path):
  values = picture_files.random_values(np.uint8)
  image = PillowImage.fromarray(values).convert("P")
  picture, _ = _written(tmp_path, "a.tif", picture_files.file_bytes(lambda buffer: image.save(buffer, "TIFF")))
  picture_files.assert_same(picture.values[..., 0], values)


def test_a_look_up_table_of_imagej_is_kept_beside_the_intensities(tmp_path):
  values = picture_files.random_values(np.uint8)
  table = np.stack([np.arange(256), np.zeros(256), np.arange(256)[::-1]]).astype(np.uint16) * 257
  data = picture_files.tiff(values, imagej=True, colormap=table)
  picture, path = _written(tmp_path, "a.tif", data)
  picture_files.assert_same(picture.values[..., 0], values)
  with tifffile.TiffFile(path) as file:
    np.testing.assert_array_equal(file.pages[0].colormap, table)
    picture_files.assert_same(file.asarray(), values)


def test_where_0_is_white_it_stays_white(tmp_path):
  values = picture_files.random_values(np.uint8)
  picture, path = _written(tmp_path, "a.tif", picture_files.tiff(values, photometric="miniswhite"))
  assert picture.is_negative
  np.testing.assert_array_equal(np.asarray(PillowImage.open(path)), 255 - values)  # Pillow shows them as they look


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [None, 3])
def test_a_turned_file_is_restored_as_it_is_seen(tmp_path, orientation, channels):
  values = picture_files.random_values(np.uint8, channels)
  data = _pillow(values, tiffinfo={274: orientation}, resolution_unit=2, x_resolution=30, y_resolution=20)
  picture, path = _written(tmp_path, "a.tif", data)
  seen, kept = PillowImage.open(io.BytesIO(data)), PillowImage.open(path)
  np.testing.assert_array_equal(np.squeeze(picture.values), np.asarray(seen))
  np.testing.assert_array_equal(np.asarray(kept), np.asarray(seen))
  assert kept.info["dpi"] == ((20, 30) if orientation > 4 else (30, 20))
  assert (orientation == 1) == (picture.remarks == ())


def test_of_a_pyramid_the_largest_level_is_restored(tmp_path):
  values = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)
  path = tmp_path / "a.ome.tif"
  with tifffile.TiffWriter(path) as file:
    file.write(values, subifds=2)
    file.write(values[::2, ::2], subfiletype=1)
    file.write(values[::4, ::4], subfiletype=1)
  picture, _ = _written(tmp_path, "b.tif", path.read_bytes())
  picture_files.assert_same(picture.values[..., 0], values)
  assert "3 sizes (64x48, 32x24, 16x12): the largest is read" in picture.remarks[0]
  assert sources.list_sources(str(path)) == [str(path)]


def test_previews_are_no_images_of_their_own(tmp_path):
  values = picture_files.random_values(np.uint16)
  path = tmp_path / "a.tif"
  with tifffile.TiffWriter(path) as file:
    file.write(values[::2, ::2].astype(np.uint8), subfiletype=1)
    file.write(values)
  picture, _ = _written(tmp_path, "b.tif", path.read_bytes())
  picture_files.assert_same(picture.values[..., 0], values)
  assert "1 of its 2 pages are previews" in picture.remarks[0]


def test_a_file_keeps_profile_resolution_and_texts(tmp_path):
  options = {"iccprofile": PROFILE, "resolution": (300, 200), "resolutionunit": 3, "description": "Plate 7",
             "datetime": "2026:11:27 10:00:00", "metadata": None, "extratags": [(315, 2, 0, "A. Author", True)]}
  picture, path = _written(tmp_path, "a.tif", picture_files.tiff(picture_files.random_values(np.uint16, 3), photometric="rgb",
                                                                 **options))
  assert picture.remarks == ()
  with tifffile.TiffFile(path) as file:
    page = file.pages[0]
    assert page.tags.valueof(34675) == PROFILE and page.resolution == (300, 200) and page.resolutionunit == 3
    assert page.description == "Plate 7" and page.tags.valueof(315) == "A. Author"
    assert page.tags.valueof(306) == "2026:11:27 10:00:00"


def test_the_calibration_of_imagej_is_kept_and_follows_the_pixels(tmp_path):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (40, 60), dtype=np.uint16)
  data = picture_files.tiff(values, imagej=True, resolution=(5, 4), metadata={"unit": "um", "Info": "a = b", "min": 3.0})
  for name, shrink in (("same", None), ("smaller", 30)):
    folder = tmp_path / name
    folder.mkdir()
    _, path = _written(folder, "a.tif", data, max_side=shrink)
    with tifffile.TiffFile(path) as file:
      found, resolution = file.imagej_metadata, file.pages[0].resolution
    assert (found["unit"], found["Info"], found["min"]) == ("um", "a = b", 3.0)
    assert resolution == ((5, 4) if shrink is None else (2.5, 2))


def test_regions_of_imagej_are_kept_in_their_own_pixels_alone(tmp_path):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (20, 24), dtype=np.uint16)
  data = picture_files.tiff(values, imagej=True, metadata={"unit": "um", "ROI": b"Iout"})
  picture, path = _written(tmp_path, "a.tif", data)
  finer = files.write_picture(tmp_path / "finer", np.repeat(np.repeat(picture.values, 2, 0), 2, 1), picture)
  found = [tifffile.TiffFile(file).imagej_metadata for file in (path, finer)]
  assert ["ROI" in one for one in found] == [True, False] and found[1]["unit"] == "um"


def test_the_pixel_sizes_of_ome_are_kept_and_follow_the_pixels(tmp_path):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (40, 60), dtype=np.uint16)
  data = picture_files.tiff(values, ome=True, metadata={
      "axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.4, "Name": "Neuron"})
  for name, shrink in (("same", None), ("smaller", 30)):
    folder = tmp_path / name
    folder.mkdir()
    picture, path = _written(folder, "a.ome.tif", data, max_side=shrink)
    again = files.write_picture(folder / "again", picture.values, picture)
    assert path.name == "restored.ome.tif" and path.read_bytes() == again.read_bytes()
    image = tifffile.xml2dict(tifffile.TiffFile(path).ome_metadata)["OME"]["Image"]
    scale = 1 if shrink is None else 2
    assert image["Name"] == "Neuron" and image["Pixels"]["PhysicalSizeXUnit"] == "µm"
    assert (image["Pixels"]["PhysicalSizeX"], image["Pixels"]["PhysicalSizeY"]) == (0.2 * scale, 0.4 * scale)
    assert "nothing else" in picture.remarks[0]


def test_a_place_on_the_ground_is_that_of_the_whole_image(tmp_path):
  geo = [(33550, "d", 3, (30.0, 30.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0.0), True)]
  data = picture_files.tiff(picture_files.random_values(np.uint16), extratags=geo)
  whole, path = _written(tmp_path, "a.tif", data)
  with tifffile.TiffFile(path) as file:
    assert whole.remarks == () and file.pages[0].tags.valueof(33922) == (0, 0, 0, 5e5, 4e6, 0)
  part, path = _written(tmp_path, "a.tif", data, crop=(1, 1, 3, 3))
  with tifffile.TiffFile(path) as file:
    assert 33922 not in file.pages[0].tags and "ModelPixelScale, ModelTiepoint" in part.remarks[0]


def test_a_header_that_cannot_be_written_again_is_dropped_and_that_is_said(tmp_path):
  values = picture_files.random_values(np.uint32)  # a type that ImageJ does not have
  data = picture_files.tiff(values, description="ImageJ=1.11a\nimages=1\nunit=um\n", metadata=None)
  picture, path = _written(tmp_path, "a.tif", data)
  assert "its header cannot be written again, and is not kept" in picture.remarks[-1]
  picture_files.assert_same(tifffile.imread(path), values)


def test_colours_that_are_one_channel_are_written_as_greys(tmp_path):
  values = picture_files.random_values(np.uint8)
  data = bytearray(picture_files.tiff(values))
  with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
    place = file.pages[0].tags[262].valueoffset  # PhotometricInterpretation
  data[place:place + 2] = (2).to_bytes(2, "little")
  picture, path = _written(tmp_path, "a.tif", bytes(data))
  assert "is not kept" in picture.remarks[-1]
  np.testing.assert_array_equal(np.asarray(PillowImage.open(path)), values)


def test_values_that_stand_for_no_data_are_said(tmp_path):
  values = picture_files.random_values(np.int16)
  values[1, 2:5] = -9999
  tag = [(42113, "s", 0, "-9999", True)]
  picture, path = _written(tmp_path, "a.tif", picture_files.tiff(values, extratags=tag))
  assert "the 3 values -9999 stand for lost pixels" in picture.remarks[0] and "operator.mask" in picture.remarks[0]
  with tifffile.TiffFile(path) as file:
    assert file.pages[0].tags.valueof(42113) == "-9999"
  values[1, 2:5] = 7
  assert _written(tmp_path, "a.tif", picture_files.tiff(values, extratags=tag))[0].remarks == ()


@pytest.mark.parametrize("options, axes", [
    ({"imagej": True, "metadata": {"axes": "TZYX", "unit": "um", "spacing": 0.5}}, "TZYX"),
    ({"ome": True, "metadata": {"axes": "TZYX", "PhysicalSizeZ": 0.5}}, "TZYX"), ({"photometric": "minisblack"}, None)])
def test_restored_pages_make_a_stack_with_the_axes_of_the_file(tmp_path, options, axes):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (3, 4, 20, 24), dtype=np.uint16)
  source = tmp_path / "stack.tif"
  tifffile.imwrite(source, values, **options)
  pages = []
  for page in sources.list_sources(str(source)):
    picture = pictures.read_picture(page)
    pages.append(files.write_picture(tmp_path / f"page{len(pages)}", picture.values, picture))
  assert files.write_stack(tmp_path / "again.tif", pages, str(source)) == ()
  with tifffile.TiffFile(tmp_path / "again.tif") as file:
    assert len(file.pages) == 12
    np.testing.assert_array_equal(file.asarray().reshape(values.shape), values)
    if axes:
      assert file.series[0].axes == axes
      assert file.series[0].shape == values.shape


def _restored_pages(folder, source, **tags):
  """Write three pages of a file, each with its own value of a tag, and each again; return (values, paths)."""
  values = np.random.default_rng(0).integers(0, 2 ** 16, (3, 20, 24), dtype=np.uint16)
  ome = source.name.endswith(".ome.tif")
  with tifffile.TiffWriter(source, ome=ome) as file:
    for number, page in enumerate(values):
      file.write(page, **{name: value[number] for name, value in tags.items()}, photometric="minisblack",
                 metadata={} if ome else None)
  pages = [pictures.read_picture(page) for page in sources.list_sources(str(source))]
  return values, [files.write_picture(folder / f"page{number}", picture.values, picture) for number, picture in enumerate(pages)]


def test_a_stack_keeps_what_each_page_says(tmp_path):
  source = tmp_path / "stack.tif"
  values, pages = _restored_pages(tmp_path, source, description=["a", "b", "c"], resolution=[(1, 1), (1, 1), (2, 3)])
  assert files.write_stack(tmp_path / "again.tif", pages, str(source)) == ()
  with tifffile.TiffFile(tmp_path / "again.tif") as file:
    assert [page.description for page in file.pages] == ["a", "b", "c"]
    assert [page.resolution for page in file.pages] == [(1, 1), (1, 1), (2, 3)]
    np.testing.assert_array_equal([page.asarray() for page in file.pages], values)


def test_what_pages_of_ome_say_alone_is_named(tmp_path):
  source = tmp_path / "stack.ome.tif"
  values, pages = _restored_pages(tmp_path, source, resolution=[(1, 1), (1, 1), (2, 3)])
  said, = files.write_stack(tmp_path / "again.ome.tif", pages, str(source))
  assert said == "its pages differ in resolution, of which the stack has what the first one says"
  np.testing.assert_array_equal(tifffile.imread(tmp_path / "again.ome.tif"), values)


def test_pages_of_several_sizes_make_no_stack(tmp_path):
  pages = [tmp_path / "a.tif", tmp_path / "b.tif"]
  for side, path in zip((5, 6), pages):
    tifffile.imwrite(path, np.zeros((5, side), np.uint8))
  with pytest.raises(ValueError, match=r"b.tif is uint8 \(5, 6, 1\), .*a.tif is uint8 \(5, 5, 1\); allowed"):
    files.write_stack(tmp_path / "stack.tif", pages, str(pages[0]))


def _with_stream(data, stream):
  """Return a TIFF file of one strip with other compressed bytes in it."""
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    places = [(file.pages[0].tags[code].valueoffset, value) for code, value in ((273, len(data)), (279, len(stream)))]
  changed = bytearray(data + stream)
  for place, value in places:
    changed[place:place + 4] = value.to_bytes(4, "little")
  return bytes(changed)


@pytest.mark.parametrize("compression, name", [("jpeg", "JPEG"), ("jpeg2000", "JPEG 2000"), ("webp", "WebP")])
def test_a_stream_that_is_larger_than_its_page_says_is_refused_before_it_is_decoded(compression, name):
  data = picture_files.tiff(np.zeros((32, 32, 3), np.uint8), photometric="rgb", compression=compression)
  stream = picture_files.file_bytes(lambda buffer: PillowImage.new("RGB", (3000, 3000)).save(
      buffer, name.replace(" ", "").upper(), **({"no_jp2": True} if compression == "jpeg2000" else {})))
  with pytest.raises(ValueError, match="its data are more than the pixels that its header says"):
    tiff.read_image(_with_stream(data, stream), None)


def _with_tag(data, code, value):
  """Return a TIFF file with another number as the value of a tag of its first page."""
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    tag = file.pages[0].tags[code]
  changed = bytearray(data)
  changed[tag.offset + 2:tag.offset + 4] = (4).to_bytes(2, "little")
  changed[tag.offset + 8:tag.offset + 12] = value.to_bytes(4, "little")
  return bytes(changed)


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "packbits", "zstd", "jpeg", "webp", "ccitt"])
def test_a_page_of_far_more_pixels_than_its_bytes_hold_is_refused_before_they_are_filled_up(compression, monkeypatch):
  values = np.zeros((32, 32, 3), np.uint8)
  data = _pillow(values[..., 0] > 0, compression="group4") if compression == "ccitt" else picture_files.tiff(
      values, photometric="rgb", compression=compression, metadata=None)
  assert tiff.read_image(data, None).values.shape[:2] == (32, 32)
  monkeypatch.setattr(tiff, "_read_page", lambda page: pytest.fail("it was decoded"))
  with pytest.raises(ValueError, match="its header says 30000000x32 pixels"):
    tiff.read_image(_with_tag(data, 257, 30_000_000), None)


def test_bits_of_colours_come_back_as_they_were_stored(tmp_path):
  values = np.random.default_rng(0).random((2, 7, 9, 3)) < 0.5
  for name, options in (("a.tif", {}), ("a.ome.tif", {"ome": True, "metadata": {"axes": "SYX"}})):
    planes = np.moveaxis(values[0], -1, 0)
    data = picture_files.tiff(planes, photometric="rgb", planarconfig="separate", **options)
    picture, path = _written(tmp_path, name, data)
    again = pictures.read_picture(str(path))
    assert picture.values.dtype == again.values.dtype == bool
    np.testing.assert_array_equal(picture.values, values[0])
    np.testing.assert_array_equal(again.values, values[0])


def test_a_colour_map_of_an_image_that_has_no_palette_is_not_kept(tmp_path):
  values = np.random.default_rng(0).integers(0, 256, (8, 9), dtype=np.uint8)
  data = picture_files.tiff(values, photometric="palette", colormap=np.full((3, 256), 257, np.uint16), metadata=None)
  picture, path = _written(tmp_path, "a.tif", _with_tag(data, 262, 1))
  np.testing.assert_array_equal(picture.values[..., 0], values)
  np.testing.assert_array_equal(pictures.read_picture(str(path)).values, picture.values)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_pages_in_a_circle_are_refused(tmp_path, options):
  path = tmp_path / "a.tif"
  with tifffile.TiffWriter(path, **options) as file:
    for _ in range(3):
      file.write(np.zeros((8, 9), np.uint8), metadata=None, contiguous=False)
  data = bytearray(path.read_bytes())
  with tifffile.TiffFile(path) as file:
    first, last, kind = file.pages[0].offset, file.pages[2], file.tiff
    end = last.offset + kind.tagnosize + len(last.tags) * kind.tagsize
    data[end:end + kind.offsetsize] = struct.pack(kind.offsetformat, first)
  path.write_bytes(data)
  with pytest.raises(ValueError, match="its pages are chained in a circle"):
    pictures.read_picture(f"{path}@1")
  assert sources.list_sources(str(path)) == [str(path)]


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "lzma"])
def test_a_bomb_is_decoded_no_further_than_its_page(compression):
  small, large = (picture_files.tiff(np.zeros((side, side), np.uint8), compression=compression, rowsperstrip=side)
                  for side in (16, 4000))
  with tifffile.TiffFile(io.BytesIO(large)) as file:
    stream = large[file.pages[0].dataoffsets[0]:][:file.pages[0].databytecounts[0]]
  bomb = _with_stream(small, stream)
  tracemalloc.start()
  with contextlib.suppress(Exception):  # what the codec makes of it is its own affair
    tiff.read_image(bomb, None)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 1e6 < 4000 ** 2


def _raw_ome(path, pages, sizes, planes, more=""):
  """Write pages with OME-XML of one image, whose planes lie where the text says."""
  text = ('<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="Image:0">'
          f'<Pixels ID="Pixels:0" Type="uint16" SizeX="7" SizeY="5" DimensionOrder="XYCZT" {sizes}>{more}{planes}</Pixels></Image></OME>')
  with tifffile.TiffWriter(path) as file:
    for number, page in enumerate(pages):
      file.write(page, metadata=None, contiguous=False, description=None if number else text)


def test_planes_of_ome_are_in_the_order_that_it_says(tmp_path):
  pages = np.random.default_rng(0).integers(0, 2 ** 16, (2, 5, 7), dtype=np.uint16)
  path = tmp_path / "a.ome.tif"
  _raw_ome(path, pages, 'SizeC="2" SizeZ="1" SizeT="1"',
           '<TiffData IFD="0" FirstC="1" PlaneCount="1"/><TiffData IFD="1" FirstC="0" PlaneCount="1"/>',
           '<Channel ID="Channel:0:0" Name="DAPI"/><Channel ID="Channel:0:1" Name="GFP"/>')
  written = []
  for number, name in enumerate(("DAPI", "GFP")):
    picture = pictures.read_picture(f"{path}@{number}")
    picture_files.assert_same(picture.values[..., 0], pages[1 - number])
    assert f"it is image {number} of the file's C 2" in picture.remarks[0]
    written.append(files.write_picture(tmp_path / f"restored{number}", picture.values, picture))
    assert f'Name="{name}"' in tifffile.TiffFile(written[-1]).ome_metadata
  files.write_stack(tmp_path / "stack.ome.tif", written, str(path))
  with tifffile.TiffFile(tmp_path / "stack.ome.tif") as file:
    np.testing.assert_array_equal(file.asarray(), pages[::-1])
    assert file.ome_metadata.index("DAPI") < file.ome_metadata.index("GFP")


def test_a_plane_of_ome_in_another_file_is_named(tmp_path):
  other = '<TiffData IFD="0" FirstC="1" PlaneCount="1"><UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData>'
  for name in "ab":
    _raw_ome(tmp_path / f"{name}.ome.tif", [np.ones((5, 7), np.uint16)], 'SizeC="2" SizeZ="1" SizeT="1"',
             f'<TiffData IFD="0" FirstC="0" PlaneCount="1"/>{other}')
  with pytest.raises(ValueError, match="this plane lies in another file of the set"):
    pictures.read_picture(str(tmp_path / "a.ome.tif@1"))


def test_every_image_of_ome_has_its_own_calibration_and_the_largest_of_its_sizes(tmp_path):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (32, 48), dtype=np.uint16)
  path = tmp_path / "a.ome.tif"
  with tifffile.TiffWriter(path, ome=True) as file:
    for size, name in ((5.0, "overview"), (0.1, "zoom")):
      file.write(values, subifds=1, metadata={"axes": "YX", "Name": name, "PhysicalSizeX": size})
      file.write(values[::2, ::2], subfiletype=1)
  assert sources.list_sources(str(path)) == [f"{path}@0", f"{path}@1"]
  picture = pictures.read_picture(f"{path}@1")
  image = tifffile.xml2dict(tifffile.TiffFile(files.write_picture(tmp_path / "restored", picture.values, picture)).ome_metadata)
  assert image["OME"]["Image"]["Name"] == "zoom" and image["OME"]["Image"]["Pixels"]["PhysicalSizeX"] == 0.1
  picture_files.assert_same(picture.values[..., 0], values)


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
def test_a_fourth_sample_stays_what_it_is(tmp_path, kind):
  values = picture_files.random_values(np.uint16, 4)
  _, path = _written(tmp_path, "a.tif", picture_files.tiff(values, photometric="rgb", extrasamples=[kind]))
  with tifffile.TiffFile(path) as file:
    assert [tifffile.EXTRASAMPLE(one).name.lower() for one in file.pages[0].extrasamples] == [kind]
    picture_files.assert_same(file.asarray(), values)


def test_a_fourth_sample_of_which_nothing_is_said_does_not_become_alpha(tmp_path):
  values = picture_files.random_values(np.uint16, 4)
  data = picture_files.tiff(values, photometric="rgb", extrasamples=["unspecified"], metadata=None)
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    place = file.pages[0].tags[338].offset
  picture, path = _written(tmp_path, "a.tif", data[:place] + (60000).to_bytes(2, "little") + data[place + 2:])  # a tag of no meaning
  assert picture.alpha is None and pictures.read_picture(str(path)).alpha is None
  picture_files.assert_same(pictures.read_picture(str(path)).values, values)


def test_a_name_of_ome_makes_none_of_a_plain_file(tmp_path):
  values = np.random.default_rng(0).integers(0, 2 ** 60, (8, 9), dtype=np.uint64)  # a type that OME has not
  _, path = _written(tmp_path, "a.ome.tif", picture_files.tiff(values))
  with tifffile.TiffFile(path) as file:
    assert not file.is_ome
    picture_files.assert_same(file.asarray(), values)


@pytest.mark.parametrize("bits, full", [(4, (0, 15)), (6, (0, 63)), (12, None)])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_packed_values_keep_their_bits(tmp_path, bits, full, photometric):
  dtype = np.uint8 if bits < 8 else np.uint16
  values = np.random.default_rng(0).integers(0, 2 ** bits, (20, 30)).astype(dtype)
  picture, _ = _written(tmp_path, "a.tif", picture_files.tiff(values, bitspersample=bits, photometric=photometric))
  picture_files.assert_same(picture.values[..., 0], values)
  assert picture.full_range == full
  too_large = picture.values + dtype(9)  # as a restoration may exceed them
  with tifffile.TiffFile(files.write_picture(tmp_path / "again", too_large, picture)) as file:
    assert file.pages[0].bitspersample == bits and file.pages[0].photometric.name.lower() == photometric
    np.testing.assert_array_equal(file.asarray(), np.minimum(values + 9, 2 ** bits - 1))


@pytest.mark.parametrize("options, name", [
    ({"description": "Aperio |AppMag = 20|MPP = 0.4990", "metadata": None}, "ImageDescription"),
    ({"description": '{"PixelSizeUm": 0.5}', "metadata": None}, "ImageDescription"),
    ({"imagej": True, "metadata": {"Info": "1 pixel = 0.5 \u00b5m", "unit": "um", "spacing": 3.0}}, "Info"),
    ({"extratags": [(271, "s", 0, "camera, pixel width 2", True)], "metadata": None}, "Make"),
    ({"description": "a cell", "metadata": None}, None),
    ({"imagej": True, "metadata": {"unit": "um", "spacing": 3.0}}, None)])
def test_texts_that_say_how_large_pixels_are_are_named_where_that_changes(tmp_path, caplog, options, name):
  values = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20)
  tifffile.imwrite(tmp_path / "a.tif", values, **options)
  said = lambda lines: [line for line in lines if "may say how large its pixels are" in line]
  whole = pictures.read_picture(str(tmp_path / "a.tif"))
  for crop in (None, (0, 0, 8, 8)):
    picture = pictures.read_picture(str(tmp_path / "a.tif"), crop)
    files.write_picture(tmp_path / "same", picture.values, picture)
    assert not said(picture.remarks) and not said(caplog.messages)
  small = pictures.read_picture(str(tmp_path / "a.tif"), max_side=12)
  files.write_picture(tmp_path / "small", small.values, small)
  assert len(said(small.remarks)) == (name is not None) and not said(caplog.messages)
  files.write_picture(tmp_path / "finer", np.kron(whole.values, np.ones((2, 2, 1), np.uint16)), whole)
  assert len(said(caplog.messages)) == (name is not None)
  assert name is None or said(caplog.messages)[0].split(": ")[1].startswith(f"{name} of the file")


def test_a_place_on_the_ground_is_not_dropped_without_a_word_where_pixels_become_finer(tmp_path, caplog):
  tifffile.imwrite(tmp_path / "a.tif", np.arange(480, dtype=np.uint16).reshape(24, 20), metadata=None,
                   extratags=[(33550, "d", 3, (2.0, 2.0, 0.0), True)])
  picture = pictures.read_picture(str(tmp_path / "a.tif"))
  files.write_picture(tmp_path / "same", picture.values, picture)
  assert not caplog.messages
  files.write_picture(tmp_path / "finer", np.kron(picture.values, np.ones((2, 2, 1), np.uint16)), picture)
  assert "ModelPixelScale of the file hold for the whole image" in caplog.text
