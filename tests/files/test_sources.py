"""Sources: which images a folder, a pattern, a list or a TIFF file names."""

import pathlib

import numpy as np
import pydicom.data
import pytest
import tifffile

from oes_jax.files import _pictures as pictures
from oes_jax.files import _sources as sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """An empty working folder."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


def touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


@pytest.mark.parametrize("source, expected", [
    ("camera", False), ("astronaut_face", False), ("missing.png", False), ("missing", False),
    ("", False), ("a.png", False), ("b,c.png", False), ("d[1].png", False),
    ("photos", True), ("photos/", True), ("x,y", True), ("z*", True), (".", True),
    ("*.png", True), ("photo?/e.png", True), ("d[2].png", True), ("camera,coins", True),
    ("a.png,missing.png", True), (",".join(f"{i}.png" for i in range(200)), True),
    ("tfds:mnist", True), ("tfds:a/b:1.*.*#test[:3]", True), ("tfds:mnist@3", False),
    ("tfds:mnist#test[:3]@0", False), ("tfds:mnist#test[:3]@0,tfds:mnist@1", True)])
def test_what_is_a_collection(folder, source, expected):
  touch(folder, "a.png", "b,c.png", "d[1].png", "photos/e.png", "x,y/f.png", "z*/g.png",
        "camera/h.png")
  assert sources.is_collection(source) is expected
  if not expected:
    assert sources.list_sources(source) == [source]


@pytest.mark.parametrize("source", ["photos", "photos/"])
def test_folder_gives_its_image_files_by_name(folder, source):
  touch(folder, "photos/b.PNG", "photos/a.tif", "photos/[1],c.jpeg", "photos/.hidden.png",
        "photos/notes.txt", "photos/png", "photos/deeper/d.png", "photos/deeper.png/e.png")
  expected = ["photos/[1],c.jpeg", "photos/a.tif", "photos/b.PNG"]
  assert sources.list_sources(source) == expected
  assert not any(sources.is_collection(name) for name in expected)


def test_file_that_cannot_be_read_is_listed(folder):
  touch(folder, "photos/damaged.png", "photos/secret.npy")
  (folder / "photos/secret.npy").chmod(0)
  (folder / "photos/gone.jpg").symlink_to(folder / "nowhere.jpg")
  listed = sources.list_sources("photos")
  assert listed == ["photos/damaged.png", "photos/gone.jpg", "photos/secret.npy"]
  for source in listed:
    with pytest.raises(ValueError, match="data.source="):
      pictures.read_picture(source)


def test_folder_whose_name_looks_like_a_pattern_or_a_list(folder):
  touch(folder, "z*/a.png", "zz/b.png", "x,y/c.png")
  assert sources.list_sources("z*") == ["z*/a.png"]
  assert sources.list_sources("x,y") == ["x,y/c.png"]


@pytest.mark.parametrize("source, expected", [
    ("*.png", ["a.png", "b.png"]), ("?.*", ["a.png", "b.png", "c.TIFF"]),
    ("[bc].*", ["b.png", "c.TIFF"]), ("*/*.npy", ["one/d.npy", "two/d.npy"]),
    ("**/*.[np][pn]*", ["a.png", "b.png", "one/d.npy", "one/two/e.png", "two/d.npy"])])
def test_pattern_gives_its_image_files_by_name(folder, source, expected):
  touch(folder, "b.png", "a.png", "c.TIFF", "b.txt", ".h.png", "two/d.npy", "one/d.npy",
        "one/two/e.png", "one/folder.png/f.txt")
  assert sources.list_sources(source) == expected


def test_list_keeps_its_order_and_its_unknown_names(folder):
  touch(folder, "photos/b.png", "photos/a.png")
  assert sources.list_sources("coins , x/y.png,cameraman,astronaut_face") == [
      "coins", "x/y.png", "cameraman", "astronaut_face"]
  assert sources.list_sources("coins,photos,cell") == [
      "coins", "photos/a.png", "photos/b.png", "cell"]
  with pytest.raises(ValueError, match="data.source='cameraman'"):
    pictures.read_picture("cameraman")


@pytest.mark.parametrize("source, reason", [
    ("camera,", "empty item"), (",camera", "empty item"), ("camera, ,coins", "empty item"),
    (",", "empty item"), ("camera,coins,camera", "'camera' twice"),
    ("a.png, a.png", "'a.png' twice"), ("photos,photos/c.png", "'photos/c.png' twice"),
    ("empty", "holds no image.*allowed.*png"), ("texts", "holds no image"),
    ("*.bmp", "holds no image"), ("texts/*", "holds no image"),
    ("[2024]/*.png", r"holds no image.*; a \[ of a name is \[\[\] in a pattern"),
    ("camera,*.bmp", r"\*\.bmp' holds no image"), ("none*.png", "holds no image")])
def test_collection_without_a_clear_content_names_the_source(folder, source, reason):
  touch(folder, "photos/c.png", "texts/d.txt")
  (folder / "empty").mkdir()
  with pytest.raises(ValueError, match=f"data.source=.*{reason}"):
    sources.list_sources(source)


@pytest.mark.parametrize("axes, shape", [("ZYX", (3, 6, 5)), ("TZCYX", (2, 3, 2, 6, 5)), ("ZYXS", (3, 6, 5, 3))])
def test_the_planes_of_a_tiff_file_with_a_single_page_are_images_too(tmp_path, axes, shape):
  stack = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8 if axes.endswith("S") else np.uint16)
  path = str(tmp_path / "stack.tif")
  tifffile.imwrite(path, stack, imagej=True, truncate=True, metadata={"axes": axes})
  with tifffile.TiffFile(path) as file:
    assert len(file.pages) == 1
  planes = stack.reshape(-1, *shape[-3:] if axes.endswith("S") else shape[-2:])
  assert sources.list_sources(path) == [f"{path}@{number:0{len(str(len(planes) - 1))}d}" for number in range(len(planes))]
  for number, plane in enumerate(planes):
    values = pictures.read_picture(f"{path}@{number}").values
    np.testing.assert_array_equal(values if axes.endswith("S") else values[..., 0], plane)
  with pytest.raises(ValueError, match=rf"holds {len(planes)} pages \(.*Y 6, X 5.*\); allowed: one of them"):
    pictures.read_picture(path)


@pytest.mark.parametrize("data", [b"", b"II*\x00", b"II*\x00" + b"\xff" * 20], ids=["empty", "cut", "no pages"])
def test_a_damaged_tiff_file_stays_listed_beside_the_others(tmp_path, data):
  (tmp_path / "damaged.tif").write_bytes(data)
  tifffile.imwrite(tmp_path / "single.tif", np.zeros((6, 5), np.uint8))
  assert sources.list_sources(str(tmp_path)) == [str(tmp_path / "damaged.tif"), str(tmp_path / "single.tif")]


def test_the_pages_of_a_tiff_file_are_images_of_their_own(tmp_path):
  pages = np.random.default_rng(0).integers(0, 2 ** 16, (3, 6, 5)).astype(np.uint16)
  path = str(tmp_path / "stack.tif")
  tifffile.imwrite(path, pages, photometric="minisblack")
  tifffile.imwrite(tmp_path / "single.tif", pages[0])
  assert sources.is_collection(path) and sources.list_sources(path) == [f"{path}@{i}" for i in range(3)]
  assert not sources.is_collection(f"{path}@1")
  assert len(sources.list_sources(str(tmp_path))) == 4
  for number, source in enumerate(sources.list_sources(path)):
    np.testing.assert_array_equal(pictures.read_picture(source).values[..., 0], pages[number])
  for source in (f"{path}@3", path):
    with pytest.raises(ValueError, match="holds 3 pages .*; allowed: one of them, as NAME@0"):
      pictures.read_picture(source)


def test_dicom_files_are_known_by_their_content(tmp_path):
  content = pathlib.Path(pydicom.data.get_testdata_file("MR_small.dcm")).read_bytes()
  for name in ("IM000001", "MR.0001.IMA", "known.dcm"):
    (tmp_path / name).write_bytes(content)
  (tmp_path / "notes").write_text("x" * 200)
  (tmp_path / "short").write_bytes(b"DICM")
  found = sources.list_sources(str(tmp_path))
  assert found == [str(tmp_path / name) for name in ("IM000001", "MR.0001.IMA", "known.dcm")]
  first, *others = (pictures.read_picture(source) for source in found)
  assert first.suffix == ".dcm" and all(np.array_equal(first.values, other.values) for other in others)
  with pytest.raises(ValueError, match="notes' is not an image file"):
    pictures.read_picture(str(tmp_path / "notes"))


def test_a_range_of_pages_is_refused_with_how_pages_are_named(tmp_path):
  (tmp_path / "stack.tif").write_bytes(b"")
  with pytest.raises(ValueError, match=r"names '1:3' of .*stack.tif; allowed: the number of one page, .*stack.tif@0"):
    pictures.read_picture(str(tmp_path / "stack.tif@1:3"))


def test_a_page_may_end_a_list(folder):
  tifffile.imwrite("stack.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
  for source in ("camera,stack.tif@1", "stack.tif@0,stack.tif@1", "other.tif,stack.tif@1"):
    assert sources.is_collection(source) and sources.list_sources(source) == source.split(",")


def test_a_folder_of_the_name_of_a_bundled_image_is_remarked(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert pictures.read_picture("cell").remarks == ()
  (tmp_path / "cell").mkdir()
  assert pictures.read_picture("cell").remarks == ("the bundled image cell is read; ./cell is the folder",)
  (tmp_path / "coins").touch()
  assert pictures.read_picture("coins").remarks == ("the bundled image coins is read; ./coins is the file",)
