"""FITS images keep their header, type and order of rows; blank pixels are NaN; several images are listed."""

import gzip
import pathlib
import sys

from astropy.io import fits
import numpy as np
import pytest

from oes_jax import files
from oes_jax.files import _fits_header as fits_header
from oes_jax.files import _fits_images as fits_images
from oes_jax.files import _free_memory as memory
from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources

RNG = np.random.default_rng(0)
SIGNED = RNG.integers(-2 ** 15, 2 ** 15, (6, 8)).astype(np.int16)
FLOAT = RNG.normal(100, 3, (6, 8)).astype(np.float32)


def _write(path, *hdus):
  fits.HDUList(list(hdus)).writeto(path, overwrite=True)
  return str(path)


def _read(path, **options):
  return pictures.read_picture(str(path), finite=False, **options)


def _with(hdu, **cards):
  hdu.header.update({name.replace("__", "-"): value for name, value in cards.items()})
  return hdu


TYPES = [SIGNED, SIGNED.view(np.uint16), SIGNED.astype(np.uint8), SIGNED.astype(np.uint32), SIGNED.astype(np.int8), FLOAT,
         FLOAT.astype(np.float64), SIGNED.astype(np.int64) * 2 ** 40, SIGNED.astype(np.uint64) << 40]


@pytest.mark.parametrize("kind, values", [
    *((kind, values) for kind in ("plain", "gzip", "extension") for values in TYPES),
    *(("compressed", values) for values in TYPES[:4])],  # astropy quantises floats, and RICE has neither int8 nor 64 bits
                         ids=lambda value: value if isinstance(value, str) else str(value.dtype))
def test_every_type_comes_back_and_goes_out_as_it_is_stored(tmp_path, kind, values):
  path = tmp_path / "image.fits"
  hdus = {"extension": [fits.PrimaryHDU(), fits.ImageHDU(values)],
          "compressed": [fits.PrimaryHDU(), fits.CompImageHDU(values, compression_type="RICE_1")]}.get(kind, [fits.PrimaryHDU(values)])
  _with(hdus[0], OBJECT="M 31")
  _with(hdus[-1], EXPTIME=30.5)
  if kind == "compressed":
    path = path.with_suffix(".fits.fz")
  _write(path, *hdus)
  if kind == "gzip":
    path.with_suffix(".fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    path = path.with_suffix(".fits.gz")
  picture = _read(path)
  assert picture.values.dtype == values.dtype and picture.squeezed and picture.remarks == ()
  np.testing.assert_array_equal(picture.values[..., 0], values)  # rows in the order of the file
  for _ in range(2):  # a second run writes over the first
    written = files.write_picture(tmp_path / "restored", picture.values[::-1], picture)
  assert written.name == "restored.fits"
  with fits.open(written) as file:
    assert file[0].header["OBJECT"] == "M 31" and file[-1].header["EXPTIME"] == 30.5
    assert str(file[-1].header["HISTORY"]).endswith("oes_jax made this image: restored")
    assert file[-1].data.dtype.newbyteorder("=") == values.dtype and file[-1].header["BITPIX"] == hdus[-1].header["BITPIX"]
    np.testing.assert_array_equal(file[-1].data, values[::-1])


@pytest.mark.parametrize("hdu, dtype, lost", [
    (_with(fits.PrimaryHDU(np.where(np.eye(6, 8, dtype=bool), np.nan, FLOAT)), OBJECT="x"), np.float32, np.eye(6, 8)),
    (_with(fits.PrimaryHDU(SIGNED), BLANK=int(SIGNED[1, 2])), np.float32, SIGNED == SIGNED[1, 2]),
    (_with(fits.PrimaryHDU(SIGNED.view(np.uint16)), BLANK=int(SIGNED.view(np.uint16)[1, 2]) - 2 ** 15), np.float32,
     SIGNED == SIGNED[1, 2]),
    (_with(fits.PrimaryHDU(SIGNED), BLANK=int(SIGNED[0, 0] ^ 1)), np.int16, np.zeros((6, 8))),  # no pixel has it
    (_with(fits.PrimaryHDU(SIGNED.astype(np.int32)), BLANK=int(SIGNED[1, 2])), np.float64, SIGNED == SIGNED[1, 2])],
                         ids=["NaN", "int16", "uint16", "none", "int32"])
def test_blank_pixels_are_nan_and_restored_ones_are_stored_in_the_first_type(tmp_path, hdu, dtype, lost):
  picture = _read(_write(tmp_path / "image.fits", hdu))
  assert picture.values.dtype == dtype
  np.testing.assert_array_equal(np.isnan(picture.values[..., 0]), lost != 0)
  restored = np.nan_to_num(picture.values, nan=7.4)
  with fits.open(files.write_picture(tmp_path / "restored", restored, picture)) as file:
    assert "BLANK" not in file[0].header and file[0].header["BITPIX"] == hdu.header["BITPIX"]
    np.testing.assert_array_equal(file[0].data, restored[..., 0] if hdu.header["BITPIX"] < 0 else np.rint(restored[..., 0]))


def test_scaled_integers_are_floats_and_are_stored_as_integers_again(tmp_path):
  hdu = _with(fits.PrimaryHDU(SIGNED, do_not_scale_image_data=True), BSCALE=0.25, BZERO=7.0, BLANK=int(SIGNED[1, 2]))
  picture = _read(_write(tmp_path / "image.fits", hdu))
  seen = SIGNED != SIGNED[1, 2]
  np.testing.assert_array_equal(picture.values[seen, 0], np.float32(0.25 * SIGNED[seen] + 7))
  assert np.isnan(picture.values[~seen]).all()
  written = files.write_picture(tmp_path / "restored", np.nan_to_num(picture.values, nan=1e9), picture)
  with fits.open(written, do_not_scale_image_data=True) as file:
    np.testing.assert_array_equal(file[0].data, np.where(seen, SIGNED, 2 ** 15 - 1))  # clipped to the type
  np.testing.assert_array_equal(_read(written).values[seen], picture.values[seen])


def test_several_hdus_and_planes_are_listed_and_what_was_chosen_is_said(tmp_path):
  cube = np.stack([SIGNED, SIGNED[::-1], SIGNED + 1])
  table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])], name="CAT")
  path = _write(tmp_path / "file.fits", fits.PrimaryHDU(), fits.ImageHDU(FLOAT, name="SCI"), fits.ImageHDU(cube), table)
  listed = [f"{path}@1", f"{path}@2@0", f"{path}@2@1", f"{path}@2@2"]
  assert sources.is_collection(path) and sources.list_sources(path) == sources.list_sources(str(tmp_path)) == listed
  assert sources.list_sources(f"{path}@2") == listed[1:] and not sources.is_collection(listed[0])
  np.testing.assert_array_equal(_read(listed[2]).values[..., 0], SIGNED[::-1])
  assert _read(listed[2]).remarks == (
      "it is HDU 2, plane 1 of 3 (NAXIS3 3, NAXIS2 6, NAXIS1 8); the axes before the last two are its planes; colours are planes too, "
      "NAME@2@0 to NAME@2@2, each restored alone",
      "HDU 1 (SCI), 3 (CAT) of the file are not in the restored one")
  assert len(fits.open(files.write_picture(tmp_path / "restored", FLOAT[..., None], _read(listed[0])))) == 2
  for source, said in [(path, "it holds several images; allowed: NAME followed by @1, @2@0 to @2@2"),
                       (f"{path}@2", "@2 is no image of it"), (f"{path}@3", "@3 is no image"), (f"{path}@2@3", "@2@3 is no image")]:
    with pytest.raises(ValueError, match=f"data.source='.*file.fits' cannot be read as an image: {said}"):
      _read(source)
  assert sources.list_sources(f"{path}@2,{path}@1,camera") == [*listed[1:], listed[0], "camera"]
  assert sources.list_sources(f"camera,{path}@1") == ["camera", listed[0]] and sources.is_collection(f"coins.fits,{path}@1")
  path = _write(tmp_path / "radio.fits", fits.PrimaryHDU(FLOAT[None, None]))
  assert sources.list_sources(path) == [path] and _read(path).values.shape == (6, 8, 1)


def test_files_that_others_have_named_are_found_by_their_content(tmp_path):
  _write(tmp_path / "image.fits", fits.PrimaryHDU(FLOAT))
  (tmp_path / "image.fits").rename(tmp_path / "frame_0001")
  assert sources.list_sources(str(tmp_path)) == [str(tmp_path / "frame_0001")]
  np.testing.assert_array_equal(_read(tmp_path / "frame_0001").values[..., 0], FLOAT)


def test_places_in_the_sky_follow_a_crop_and_another_size_of_the_pixels(tmp_path):
  wcs = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRPIX1": 20.0, "CRPIX2": 9.0, "CRVAL1": 10.0, "CRVAL2": 40.0,
         "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "A_1_1": 2e-4, "B_0_2": 3e-4}
  image = RNG.normal(size=(32, 48)).astype(np.float32)
  linear = {"CD": {"CD1_1": -1e-3, "CD1_2": 2e-4, "CD2_1": 2e-4, "CD2_2": 1e-3},
            "PC": {"PC1_1": 0.9, "PC1_2": 0.1, "PC2_1": -0.1, "PC2_2": 0.9, "CDELT1": -1e-3, "CDELT2": 1e-3},
            "CDELT": {"CDELT1": -1e-3, "CDELT2": 1e-3}}
  from astropy import wcs as sky  # pylint: disable=import-outside-toplevel
  for cards in linear.values():
    path = _write(tmp_path / "image.fits", _with(fits.PrimaryHDU(image), **wcs, **cards))
    picture = _read(path, crop=(8, 4, 16, 40), max_side=20)
    assert picture.values.shape == (8, 20, 1)
    written = files.write_picture(tmp_path / "restored", picture.values, picture)
    before, after = (sky.WCS(fits.getheader(file)) for file in (path, written))
    # the middles of the new pixels, in the old ones: 0-based columns and rows
    columns, rows = np.meshgrid(np.arange(20.0), np.arange(8.0))
    np.testing.assert_allclose(after.all_pix2world(columns, rows, 0),
                               before.all_pix2world(4 + 2 * columns + 0.5, 8 + 2 * rows + 0.5, 0), atol=1e-9)


@pytest.mark.parametrize("cards", [
    {"CRVAL1": 100.0, "CRVAL2": 50.0, "CDELT1": 2.0, "CDELT2": 3.0}, {"CRPIX1": 6.0, "CRPIX2": 8.0, "CRVAL1": 100.0, "CRVAL2": 50.0},
    {"CRPIX1": 6.0, "CRPIX2": 8.0, "CDELT1": 2.0, "CDELT2": 3.0, "PC1_2": 0.5}])
def test_places_in_the_sky_also_follow_where_cards_are_left_out(tmp_path, cards):
  from astropy import wcs as sky  # pylint: disable=import-outside-toplevel
  path = _write(tmp_path / "image.fits", _with(fits.PrimaryHDU(RNG.normal(size=(32, 48)).astype(np.float32)), **cards))
  picture = _read(path, crop=(8, 4, 16, 40), max_side=20)
  before, after = (sky.WCS(fits.getheader(file)) for file in (path, files.write_picture(tmp_path / "out", picture.values, picture)))
  np.testing.assert_allclose(after.all_pix2world([[0, 0], [3, 5]], 0), before.all_pix2world([[4.5, 8.5], [10.5, 18.5]], 0))


def test_a_plane_of_a_cube_says_its_own_place_along_the_other_axes(tmp_path):
  cards = {"CTYPE3": "FREQ", "CRVAL3": 1e9, "CDELT3": 1e6, "CRPIX3": 2.0, "CRVAL3A": 5.0, "CRVAL4": 1.0, "CRPIX4": 1.0}
  cube = fits.PrimaryHDU(np.stack(2 * [np.stack(5 * [FLOAT])]))
  path = _write(tmp_path / "cube.fits", _with(cube, **cards))
  picture = _read(f"{path}@0@8")  # plane 3 of the second five
  header = fits.getheader(files.write_picture(tmp_path / "restored", picture.values, picture))
  assert [header[name] for name in ("CRPIX3", "CRPIX3A", "CRPIX4", "CRVAL3")] == [-1, -3, 0, 1e9]


@pytest.mark.parametrize("shape", [(6, 8, 1), (6, 1, 8), (1, 6, 8, 1)])
def test_axes_of_length_1_are_left_out_wherever_they_are(tmp_path, shape):
  path = _write(tmp_path / "image.fits", _with(fits.PrimaryHDU(FLOAT.reshape(shape)), CRVAL2=1.0, CD1_1=2.0, OBJECT="M 31"))
  assert sources.list_sources(path) == [path]
  picture = _read(path)
  np.testing.assert_array_equal(picture.values[..., 0], FLOAT)
  assert picture.remarks[1] == "CRVAL2, CD1_1 of its header are of other axes than the image's, and are not kept"
  header = fits.getheader(files.write_picture(tmp_path / "restored", picture.values, picture))
  assert header["OBJECT"] == "M 31" and "CRVAL2" not in header
  planes = _write(tmp_path / "planes.fits", fits.PrimaryHDU(np.stack(3 * [FLOAT.reshape(shape)])))
  assert len(sources.list_sources(planes)) == 3 and _read(f"{planes}@0@2").values.shape == (6, 8, 1)


def test_sections_of_a_detector_go_and_its_origin_follows(tmp_path, caplog):
  cards = {"DATASEC": "[1:8,1:6]", "CCDSEC": "[ 11:18, 21:26 ]", "EXPSEC": 3, "LTV1": -10.0, "LTV2": -20.0, "LTM1_1": 1.0}
  path = _write(tmp_path / "image.fits", _with(fits.PrimaryHDU(FLOAT), **cards))
  picture = _read(path, crop=(2, 4, 4, 4), max_side=2)
  header = fits.getheader(files.write_picture(tmp_path / "restored", picture.values, picture))
  assert picture.remarks == ("DATASEC, CCDSEC of its header hold for the whole image in its own pixels, and are not kept",)
  assert "DATASEC" not in header and "CCDSEC" not in header and header["EXPSEC"] == 3 and not caplog.records
  # The first new pixel's middle, 1, is 5.5 and 3.5 in the file, 15.5 and 23.5 of the detector.
  assert [header[f"LTM{axis}_{axis}"] * place + header[f"LTV{axis}"] for axis, place in ((1, 15.5), (2, 23.5))] == [1, 1]
  whole = _read(path)
  assert fits.getheader(files.write_picture(tmp_path / "restored", whole.values, whole))["DATASEC"] == "[1:8,1:6]"
  files.write_picture(tmp_path / "restored", np.kron(whole.values, np.ones((2, 2, 1), np.float32)), whole)
  assert "DATASEC, CCDSEC of its header hold" in caplog.text


def test_a_scale_of_iraf_without_its_origin_has_one_after_a_crop(tmp_path):
  path = _write(tmp_path / "image.fits", _with(fits.PrimaryHDU(FLOAT), LTM1_1=0.5, LTM2_2=0.5))
  picture = _read(path, crop=(2, 4, 4, 4))
  header = fits.getheader(files.write_picture(tmp_path / "restored", picture.values, picture))
  assert (header["LTV1"], header["LTV2"], header["LTM1_1"]) == (-4, -2, 0.5)


def _cut(path):
  path.write_bytes(pathlib.Path(_write(path, fits.PrimaryHDU(np.zeros((60, 80))))).read_bytes()[:9000])


def _huge(path):
  data = pathlib.Path(_write(path, fits.PrimaryHDU(FLOAT))).read_bytes()
  path.write_bytes(data.replace(b"NAXIS1  =                    8", b"NAXIS1  =         800000000000"))


def _huge_tiles(path):
  data = pathlib.Path(_write(path, fits.PrimaryHDU(), fits.CompImageHDU(SIGNED))).read_bytes()
  path.write_bytes(data.replace(b"ZNAXIS1 =                    8", b"ZNAXIS1 =         800000000000"))


def _counted(name, count, *hdus):
  """Return a function that writes a file whose header has another number, and is as long as it was."""
  def write(path):
    data = pathlib.Path(_write(path, *hdus)).read_bytes()
    place = data.index(f"{name:8}=".encode())
    path.write_bytes(data[:place] + f"{name:8}= {count:>20}".encode() + data[place + 30:])
  return write


_TABLE = fits.BinTableHDU(np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]))


def _narrow_tiles(path):
  hdu = fits.CompImageHDU(np.zeros((24, 28), np.int16), compression_type="HCOMPRESS_1", tile_shape=(24, 28))
  data = pathlib.Path(_write(path, fits.PrimaryHDU(), hdu)).read_bytes()
  path.write_bytes(data.replace(b"ZNAXIS1 =                   28", b"ZNAXIS1 =                   12"))


def _two_types(path):
  data = pathlib.Path(_write(path, fits.PrimaryHDU(FLOAT))).read_bytes()
  path.write_bytes(data.replace(b"EXTEND  =                    T", b"BITPIX  =                    8"))


@pytest.mark.parametrize("write, said", [
    (_cut, "it is cut: its header says more than the 9000 bytes"), (_huge, "it is cut: its header says more"),
    (_huge_tiles, "it says that it holds [0-9]+ bytes; allowed: at most"),
    (lambda path: _write(path, fits.PrimaryHDU()), "it holds no image; allowed: an HDU with two axes"),
    (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)), "it is no FITS file"),
    (lambda path: _write(path, _with(fits.PrimaryHDU(SIGNED, do_not_scale_image_data=True), BSCALE=0.0)), "its BSCALE is 0"),
    (lambda path: path.write_bytes(gzip.compress(bytes(10 ** 5))[:60]), "its compressed data are cut"),
    (_counted("GCOUNT", -1, fits.PrimaryHDU(), fits.ImageHDU(FLOAT), _TABLE), "a header of it says GCOUNT = -1"),  # leads back
    (_counted("TFIELDS", 10 ** 9, fits.PrimaryHDU(FLOAT), _TABLE), "a header of it says TFIELDS = 1000000000"),
    (_counted("NAXIS", 10 ** 9, fits.PrimaryHDU(FLOAT)), "a header of it says NAXIS = 1000000000"),
    (_narrow_tiles, "a tile of it holds another number of pixels than the 288 that"),  # HCOMPRESS would write beyond them
    (_two_types, "its BITPIX is -32, and its values are uint8"),
    (lambda path: _write(path, _with(fits.PrimaryHDU(FLOAT), CDELT1="one")), "can't multiply sequence")],
                         ids=["cut", "huge", "tiles", "empty", "zip", "scale", "gzip", "back", "columns", "axes", "narrow", "types", "text"])
def test_a_hostile_file_names_the_source(tmp_path, write, said):
  write(tmp_path / "image.fits")
  with pytest.raises(ValueError, match=f"data.source=.*image.fits' cannot be read as an image: {said}"):
    _read(tmp_path / "image.fits")


def test_what_inflates_beyond_the_memory_is_refused(tmp_path, monkeypatch):
  bomb = pathlib.Path(_write(tmp_path / "image.fits", fits.PrimaryHDU(np.zeros((500, 500), np.uint8))))
  bomb.with_suffix(".fits.gz").write_bytes(gzip.compress(bomb.read_bytes()))
  _write(tmp_path / "tiles.fits", fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((2, 20000), np.int32), compression_type="GZIP_1"))
  data = (tmp_path / "tiles.fits").read_bytes()
  for axis in ("ZNAXIS1 =                20000", "ZTILE1  =                20000"):
    assert axis.encode() in data
    data = data.replace(axis.encode(), axis.encode().replace(b"20000", b"  200"))
  (tmp_path / "tiles.fits").write_bytes(data)
  monkeypatch.setattr(memory, "free_memory", lambda: 50_000)
  with pytest.raises(ValueError, match="image.fits.gz' cannot be read as an image: it inflates to more than half of the memory"):
    _read(tmp_path / "image.fits.gz")
  with pytest.raises(ValueError, match="tiles.fits' cannot be read as an image: a part of it inflates to more than its header"):
    _read(tmp_path / "tiles.fits")


@pytest.mark.parametrize("name", ["plain", "compressed", "gzip"])
def test_a_damaged_file_is_read_or_names_the_source(tmp_path, name):
  hdus = [fits.PrimaryHDU(), fits.CompImageHDU(SIGNED)] if name == "compressed" else [fits.PrimaryHDU(SIGNED)]
  data = pathlib.Path(_write(tmp_path / "whole.fits", *hdus)).read_bytes()
  data = gzip.compress(data) if name == "gzip" else data
  path = tmp_path / "cut.fits"
  for number in range(40):
    place = int(RNG.integers(min(len(data), 6000)))
    path.write_bytes(data[:place] if number % 4 == 0 else data[:place] + RNG.bytes(2) + data[place + number % 4:])
    for source in sources.list_sources(str(path)):
      try:
        _read(source)
      except ValueError as error:
        assert str(error).startswith(f"data.source={str(path)!r} cannot be read as an image: ") and "\n" not in str(error)


def test_a_missing_library_is_said_in_a_line(tmp_path, monkeypatch):
  path = _write(tmp_path / "image.fits", fits.PrimaryHDU(FLOAT))
  monkeypatch.setitem(sys.modules, "astropy.io", None)
  with pytest.raises(ValueError, match=r'FITS needs astropy; allowed: pip install "oes_jax\[fits\]"\.'):
    _read(path)
  assert fits_images.MAGIC == b"SIMPLE  ="


def test_what_cameras_say_of_their_pixels_follows_other_pixels():
  cards = {"PIXSCALE": 0.4, "SECPIX1": 0.3, "SECPIX2": 0.4, "XPIXSZ": 3, "YPIXSZ": 4.0, "XBINNING": 1, "SECPIX": "0.4",
           "PIXSIZE2": 2.0}
  scaled = fits_header.rescaled(fits.Header(cards), (0.5, 2))
  assert dict(scaled) == {"PIXSCALE": 0.4, "SECPIX1": 0.6, "SECPIX2": 0.2, "XPIXSZ": 6, "YPIXSZ": 2.0, "XBINNING": 1, "SECPIX": "0.4",
                          "PIXSIZE2": 1.0}
