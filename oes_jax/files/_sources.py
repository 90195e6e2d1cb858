"""Which images a source names: a file, a bundled image or an item of a data set, or many of them."""

import collections
import glob
import os
import re

from oes_jax.files import _boundary
from oes_jax.files import _dicom
from oes_jax.files import _fits_images
from oes_jax.files import _parts
from oes_jax.files import _scans
from oes_jax.files import _tfds
from oes_jax.files import _tiff_frames

# Images inside the scikit-image wheel: no download. See its data/README.txt for their licences.
BUNDLED_IMAGES = ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass",
                  "gravel", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon",
                  "page", "retina", "rocket", "text")
# Named crops of them, (top, left, height, width), small enough for a first run on a CPU.
BUNDLED_CROPS = {"astronaut_face": ("astronaut", (20, 140, 160, 160)),
                 "astronaut_face_128": ("astronaut", (20, 140, 128, 128))}
BUNDLED_NAMES = (*BUNDLED_IMAGES, *BUNDLED_CROPS, *_dicom.DICOM_SLICES)
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".dcm", ".fits")
_TIFF_PAGE = re.compile(r"(?P<path>.*\.tiff?)@(?P<page>\d+)", re.IGNORECASE)


_DICOM_MAGIC = slice(128, 132)


def suffix_of(path: str) -> str:
  """Return the suffix that tells how a file is read, in small letters; of DICOM files as scanners name them ".dcm".

  All names of FITS files have ".fits". A file whose own suffix says nothing is looked into, as far as that is possible.
  """
  suffix = ".fits" if _parts.is_fits(path) else os.path.splitext(path)[1].lower()
  if suffix in (*SUFFIXES, *_scans.SUFFIXES) or not os.path.isfile(path):
    return suffix
  try:
    with open(path, "rb") as file:
      start = file.read(_DICOM_MAGIC.stop)
  except OSError:  # reading it says what is wrong
    return suffix
  return ".dcm" if start[_DICOM_MAGIC] == b"DICM" else ".fits" if start.startswith(_fits_images.MAGIC) else suffix


def split_page(source: str) -> tuple[str, int | tuple[int, ...] | None]:
  """Return (path, page) of a page of a TIFF file, PATH@PAGE; (source, None) of anything else.

  Of FITS files and scans the page is what `_parts.split_part` gives, if they name one.
  """
  match = _TIFF_PAGE.fullmatch(source)
  if match is None or os.path.isfile(source):
    path, part = _parts.split_part(source)
    return path, part or None
  return match["path"], int(match["page"])


def _pages_of(source: str) -> list[str]:
  """Return the pages of a TIFF file of several (of a FITS file, a scan) as sources; else the source alone, whatever it is."""
  if not source.lower().endswith((".tif", ".tiff")) or not os.path.isfile(source):
    return _parts.list_parts(source)
  try:
    with _boundary.reading(f"data.source={source!r} cannot be listed"):
      count = _tiff_frames.count_images(source)
  except ValueError:
    return [source]  # reading it says what is wrong
  digits = len(str(count - 1))  # so that the names of the results are in the order of the pages
  return [source] if count < 2 else [f"{source}@{page:0{digits}d}" for page in range(count)]


def is_bundled(source: str) -> bool:
  """Whether a name is that of an image which needs no file."""
  return source in BUNDLED_NAMES


def remark_bundled(source: str) -> tuple[str, ...]:
  """Return a line that says so where a file or folder has the name of a bundled image, which is meant."""
  if not os.path.exists(source):
    return ()
  kind = "folder" if os.path.isdir(source) else "file"
  return (f"the bundled image {source} is read; ./{source} is the {kind}",)


def is_collection(source: str) -> bool:
  """Whether a source lists images instead of being one: a folder, a pattern, a list, a data set, or a TIFF
  file of several pages, a FITS file of several images, a scan of several slices.

  A bundled name or any other existing file is one image, whatever its name holds.
  """
  if is_bundled(source) or os.path.isfile(split_page(source)[0]):
    return len(_pages_of(source)) > 1
  if os.path.isdir(source) or "," in source:
    return True
  return "@" not in source if source.startswith("tfds:") else bool(set("*?[") & set(source))


def _list_files(pattern: str) -> list[str]:
  """Return the image files of a pattern by name, a TIFF file of several pages as its pages."""
  suffixes = (*SUFFIXES, *(suffix for suffix in _scans.SUFFIXES if pattern.lower().endswith(suffix)))
  found = sorted(path for path in set(glob.glob(pattern, recursive=True))
                 if not os.path.isdir(path) and suffix_of(path) in suffixes)
  return [page for path in found for page in _pages_of(path)]


def _list_several(source: str) -> list[str]:
  """Return the images of a list separated by commas."""
  items = [item.strip() for item in source.split(",")]
  if "" in items:
    raise ValueError(f"data.source={source!r} has an empty item; allowed: images separated by "
                     "single commas.")
  found = [image for item in items for image in list_sources(item)]
  image, count = collections.Counter(found).most_common(1)[0]
  if count > 1:
    raise ValueError(f"data.source={source!r} names {image!r} twice; allowed: each image once.")
  return found


def list_sources(source: str) -> list[str]:
  """Return the single images of a source, each of which `read_picture` takes, in a stable order.

  Args:
    source: a folder (the image files directly in it, by name), a pattern of files (by name), a data
      set (its items), a TIFF, FITS or scan file (its pages, images, slices), or a list of images and of any of these, separated by commas (as given).
      Anything else is the one image. Hidden files are left out. Whether an image can be read is not
      looked at.

  Raises:
    ValueError: it holds no image, an empty item or an image twice; or the data set is not prepared.
  """
  folder = os.path.isdir(source)
  if not is_collection(source):
    return [source]
  if os.path.isfile(split_page(source)[0]):
    return _pages_of(source)
  if "," in source and not folder:
    found = _list_several(source)
  elif source.startswith("tfds:"):
    found = _tfds.list_items(source, "data.source")
  else:
    found = _list_files(os.path.join(glob.escape(source), "*") if folder else source)
  if not found:
    raise ValueError(f"data.source={source!r} holds no image; allowed: a readable folder or a "
                     f"pattern with files of {', '.join(SUFFIXES)}, or a split with items"
                     f"{'; a [ of a name is [[] in a pattern' if '[' in source else ''}.")
  return found
