"""Images in and out: files, bundled photographs and items of data sets, and the collections that
name many of them."""

import collections
import dataclasses
import functools
import glob
import hashlib
import io
import os
import pathlib
import re
import struct
import tokenize
from typing import Any
import zlib

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
from PIL import UnidentifiedImageError
import png
import skimage.data
import skimage.transform
import tifffile

from oes_jax.files import _dicom
from oes_jax import intensity

# Images inside the scikit-image wheel: no download. See its data/README.txt for their licences.
BUNDLED_IMAGES = ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass",
                  "gravel", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon",
                  "page", "retina", "rocket", "text")
# Named crops of them, (top, left, height, width), small enough for a first run on a CPU.
BUNDLED_CROPS = {"astronaut_face": ("astronaut", (20, 140, 160, 160)),
                 "astronaut_face_128": ("astronaut", (20, 140, 128, 128))}
_NAMES = (*BUNDLED_IMAGES, *BUNDLED_CROPS, *_dicom.DICOM_SLICES)
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".dcm")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What the decoders were seen to raise for truncated, damaged or foreign content.
_DECODER_ERRORS = (ValueError, OSError, EOFError, LookupError, SyntaxError, TypeError,
                   AttributeError, ArithmeticError, MemoryError, NotImplementedError, struct.error, *_dicom.DICOM_ERRORS,
                   zlib.error, tokenize.TokenError, png.Error, PillowImage.DecompressionBombError,
                   tifffile.TiffFileError)
_TIFF_PAGE = re.compile(r"(?P<path>.*\.tiff?)@(?P<page>\d+)", re.IGNORECASE)
_TFDS = re.compile(r"tfds:(?P<name>[^#@,]+)(#(?P<split>[^#@,]+))?(@(?P<index>\d+))?")


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image as it was stored.

  Attributes:
    values: [H, W, C], the stored dtype; alpha excluded.
    alpha: [H, W] or None; carried through unchanged.
    squeezed: whether the file had no channel axis.
    suffix: of the file that a restored image is written to, e.g. ".png".
    digest: sha256 of the file or of the data set's item, or the bundled image's name.
    bundled: whether it is a clean photograph of scikit-image, or a slice of pydicom.
    template: the file itself where a restored one is written under its header (DICOM).
    pixel_size: height and width of a pixel, in those of the file.
  """
  values: np.ndarray
  alpha: np.ndarray | None
  squeezed: bool
  suffix: str
  digest: str
  bundled: bool
  template: bytes | None = None
  pixel_size: tuple[float, float] = (1, 1)


def _read_pillow(data: bytes):
  """8-bit PNG and JPEG, turned as their EXIF tag says; palettes become colours."""
  try:
    image = PillowImage.open(io.BytesIO(data))
  except UnidentifiedImageError as error:
    raise ValueError("it is no PNG or JPEG") from error
  image = ImageOps.exif_transpose(image)
  alpha = "A" in image.getbands() or "transparency" in image.info
  if image.mode in ("P", "1") or (alpha and image.mode not in ("LA", "RGBA")):
    image = image.convert("L" if image.mode == "1" else "RGBA" if alpha else "RGB")
  if image.mode not in ("L", "LA", "RGB", "RGBA"):
    raise ValueError(f"its colours are {image.mode}; allowed: grey or RGB, with or without alpha")
  return np.asarray(image), alpha


def _read_png_16(data: bytes):
  """16-bit PNG by pypng: Pillow silently cuts 16-bit colour to 8 bits."""
  width, height, rows, info = png.Reader(bytes=data).asDirect()
  values = np.vstack([np.asarray(row, np.uint16) for row in rows])
  values = values.reshape(height, width, info["planes"])
  return values[..., 0] if info["planes"] == 1 else values, info["alpha"]


def split_page(source: str) -> tuple[str, int | None]:
  """Return (path, page) of a page of a TIFF file, PATH@PAGE; (source, None) of anything else."""
  match = _TIFF_PAGE.fullmatch(source)
  if match is None or os.path.isfile(source):
    return source, None
  return match["path"], int(match["page"])


def _pages_of(source: str) -> list[str]:
  """Return the pages of a TIFF file of several as sources; else the source alone, whatever it is."""
  if not source.lower().endswith((".tif", ".tiff")) or not os.path.isfile(source):
    return [source]
  try:
    with tifffile.TiffFile(source) as file:
      count = len(file.pages)
  except (tifffile.TiffFileError, OSError, ValueError, struct.error):
    return [source]  # reading it says what is wrong
  return [source] if count == 1 else [f"{source}@{page}" for page in range(count)]


def _read_tiff(data: bytes, number: int | None):
  with tifffile.TiffFile(io.BytesIO(data)) as file:
    if number is None and len(file.pages) != 1 or number is not None and number >= len(file.pages):
      raise ValueError(f"it holds {len(file.pages)} pages; allowed: one of them, as NAME@0 and so on")
    page = file.pages[number or 0]
    colours = {tifffile.PHOTOMETRIC.RGB: 3, tifffile.PHOTOMETRIC.MINISBLACK: 1}
    if page.photometric not in colours:
      raise ValueError(f"its colours are {tifffile.PHOTOMETRIC(page.photometric).name}; allowed: "
                       "MINISBLACK or RGB")
    values = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
      values = np.moveaxis(values, 0, -1)
    kinds = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    alpha = (bool(page.extrasamples) and page.extrasamples[0] in kinds and values.ndim == 3
             and values.shape[-1] == colours[page.photometric] + 1)
    return values, alpha


def _read_file(path: pathlib.Path, key: str, page: int | None) -> tuple[np.ndarray, bool, bytes]:
  """Return (values, whether the last channel is alpha, raw bytes); any fault is a ValueError."""
  suffix = path.suffix.lower()
  if suffix not in SUFFIXES:
    if path.name != str(path) and not path.exists():
      raise ValueError(f"{key}={str(path)!r} does not exist; allowed: an image file, a folder of them, a "
                       "pattern, or a bundled image.")
    raise ValueError(f"{key}={str(path)!r} is not an image file or a bundled image; allowed: "
                     f"{', '.join(SUFFIXES)}, or one of {', '.join(_NAMES)}.")
  if not os.path.isfile(path):  # pathlib's raises where a name is too long
    raise ValueError(f"{key}={str(path)!r} does not exist or is not a file.")
  try:
    data = path.read_bytes()
    if suffix == ".npy":
      values, alpha = np.load(io.BytesIO(data), allow_pickle=False), False
    elif suffix in (".tif", ".tiff"):
      values, alpha = _read_tiff(data, page)
    elif suffix == ".dcm":
      values, alpha = _dicom.read_dicom(data), False
    elif data[:8] == _PNG_SIGNATURE and data[24:25] == b"\x10":  # the header's bit depth
      values, alpha = _read_png_16(data)
    else:
      values, alpha = _read_pillow(data)
  except _DECODER_ERRORS as error:
    raise ValueError(f"{key}={str(path)!r} cannot be read as an image: {error}.") from error
  return values, alpha, data


def is_bundled(source: str) -> bool:
  """Whether a name is that of an image which needs no file."""
  return source in _NAMES


def _read_bundled(name: str) -> np.ndarray:
  if name in _dicom.DICOM_SLICES:
    return _dicom.read_dicom(_dicom.read_slice(name))
  name, (top, left, height, width) = BUNDLED_CROPS.get(name, (name, (0, 0, None, None)))
  image = getattr(skimage.data, name)()
  return image if height is None else image[top:top + height, left:left + width]


@functools.lru_cache(maxsize=None)
def _data_source(name: str, split: str):
  """Open a split of a prepared data set; return (its items, name of the image, its channels).

  The builder is made of the prepared files: it downloads nothing, and is not the one of the data
  set's own code, which may need TensorFlow.
  """
  # pylint: disable=import-outside-toplevel
  from google.protobuf import json_format
  import tensorflow_datasets as tfds  # half a second
  from tensorflow_datasets.core import read_only_builder
  try:
    builder = read_only_builder.builder_from_files(name, file_format="array_record")
  except json_format.ParseError as error:
    raise ValueError(f"its dataset_info.json is damaged: {error}") from error
  features = builder.info.features
  stored = sorted(k for k, v in features.items() if isinstance(v, tfds.features.Image))
  pictures = [k for k in stored if not isinstance(features[k], tfds.features.LabeledImage)]
  if not pictures:  # a labelled image is a map of classes
    raise ValueError(f"it has no image; its features: {', '.join(sorted(features))}")
  picture = pictures[0]  # by name, as tfds restores features in any order
  skipped = {k: tfds.decode.SkipDecoding() for k in stored if k != picture}
  items = builder.as_data_source(split, decoders=skipped or None)
  return items, picture, features[picture].shape[-1]


def _open_tfds(source: str, key: str):
  """Return (name, split, index or None, what `_data_source` returns); any fault is a ValueError."""
  match = _TFDS.fullmatch(source)
  if match is None:
    raise ValueError(f"{key}={source!r} is not allowed; allowed: tfds:NAME or tfds:NAME#SPLIT, and "
                     "@INDEX after it for one item.")
  name, split, index = match["name"], match["split"] or "train", match["index"]
  try:
    opened = _data_source(name, split)
  except (ValueError, LookupError, TypeError, RuntimeError, OSError, ImportError) as error:
    reason = str(error).partition("\n")[0].rstrip(".")
    raise ValueError(f"{key}={source!r} cannot be read: {reason}. Allowed: a data set prepared as "
                     "array_record in the folder TFDS_DATA_DIR, and one of its splits.") from error
  return name, split, None if index is None else int(index), opened


def _read_tfds(source: str, key: str) -> tuple[np.ndarray, bool, str]:
  """Return (values, whether the last channel is alpha, sha256) of an item of a data set."""
  *_, index, (items, picture, channels) = _open_tfds(source, key)
  if index is None or index >= len(items):
    raise ValueError(f"{key}={source!r} names no item; allowed: an @INDEX below {len(items)}.")
  try:
    values = items[index][picture]
    if channels and values.shape[-1] != channels:  # such as a CMYK JPEG
      raise ValueError(f"it has {values.shape[-1]} channels where the data set has {channels}")
  except (*_DECODER_ERRORS, RuntimeError) as error:
    reason = str(error).rstrip(".")
    raise ValueError(f"{key}={source!r} cannot be read as an image: {reason}.") from error
  digest = hashlib.sha256(f"{values.shape} {values.dtype.str}".encode() + values.tobytes())
  squeezed = values.ndim == 3 and values.shape[-1] == 1
  return values[..., 0] if squeezed else values, channels in (2, 4), digest.hexdigest()


def is_collection(source: str) -> bool:
  """Whether a source lists images instead of being one: a folder, a pattern, a list, a data set, or a TIFF
  file of several pages.

  A bundled name or any other existing file is one image, whatever its name holds.
  """
  if is_bundled(source) or os.path.isfile(source):
    return len(_pages_of(source)) > 1
  if os.path.isdir(source) or "," in source:
    return True
  return "@" not in source if source.startswith("tfds:") else bool(set("*?[") & set(source))


def list_sources(source: str) -> list[str]:
  """Return the single images of a source, each of which `read_picture` takes, in a stable order.

  Args:
    source: a folder (the image files directly in it, by name), a pattern of files (by name), a data
      set (its items), a TIFF file (its pages), or a list of images and of any of these, separated by commas (as given).
      Anything else is the one image. Hidden files are left out. Whether an image can be read is not
      looked at.

  Raises:
    ValueError: it holds no image, an empty item or an image twice; or the data set is not prepared.
  """
  folder = os.path.isdir(source)
  if not is_collection(source):
    return [source]
  if os.path.isfile(source):
    return _pages_of(source)
  if "," in source and not folder:
    items = [item.strip() for item in source.split(",")]
    if "" in items:
      raise ValueError(f"data.source={source!r} has an empty item; allowed: images separated by "
                       "single commas.")
    found = [image for item in items for image in list_sources(item)]
    image, count = collections.Counter(found).most_common(1)[0]
    if count > 1:
      raise ValueError(f"data.source={source!r} names {image!r} twice; allowed: each image once.")
  elif source.startswith("tfds:"):
    name, split, _, (items, *_) = _open_tfds(source, "data.source")
    found = [f"tfds:{name}#{split}@{index}" for index in range(len(items))]
  else:
    pattern = os.path.join(glob.escape(source), "*") if folder else source
    suffixes = (*SUFFIXES, ".npz") if pattern.lower().endswith(".npz") else SUFFIXES
    found = sorted(path for path in set(glob.glob(pattern, recursive=True))
                   if path.lower().endswith(suffixes) and not os.path.isdir(path))
    found = [page for path in found for page in _pages_of(path)]
  if not found:
    raise ValueError(f"data.source={source!r} holds no image; allowed: a readable folder or a "
                     f"pattern with files of {', '.join(SUFFIXES)}, or a split with items.")
  return found


def _check_values(values: np.ndarray, source: str, key: str, finite: bool) -> None:
  if values.dtype.kind not in "biuf":
    raise ValueError(f"{key}={source!r} holds {values.dtype} values; allowed: boolean, "
                     "integer or real.")
  if values.ndim not in (2, 3) or values.size == 0:
    raise ValueError(f"{key}={source!r} has shape {values.shape}; allowed: non-empty [H, W] "
                     "or [H, W, C].")
  if finite and not np.isfinite(values).all():
    bad = int(values.size - np.isfinite(values).sum())
    raise ValueError(f"{key}={source!r} holds {bad} NaN or infinite values; allowed: finite "
                     "pixels only.")


def _shrink(values: np.ndarray, max_side: int) -> np.ndarray:
  """Scale [H, W, C] down until no side is over `max_side`, without aliasing; the dtype stays."""
  if max_side < 1:
    raise ValueError(f"data.max_side={max_side} is not allowed; allowed: 1 pixel or more, or None.")
  scale = max_side / max(values.shape[:2])
  if scale >= 1:
    return values
  shape = [max(1, round(scale * length)) for length in values.shape[:2]]
  small = skimage.transform.resize(values.astype(np.float64), shape, order=1, anti_aliasing=True,
                                   preserve_range=True)
  return intensity.from_unit(small, (0., 1.), values.dtype)


def read_picture(source: str, crop: tuple[int, int, int, int] | None = None, *,
                 max_side: int | None = None, key: str = "data.source", finite: bool = True) -> Picture:
  """Read a bundled image by name, a PNG, JPEG, TIFF, NPY or DICOM file, or an item of a data set.

  Args:
    source: the name of a bundled image, a path (of a TIFF file with several pages: PATH@PAGE), or
      tfds:NAME#SPLIT@INDEX.
    crop: (top, left, height, width) in pixels, or None for the whole image.
    max_side: longest side in pixels; what is larger after the crop is scaled down to it, alpha too.
      None for the stored size.
    key: config key of the source, for error messages.
    finite: whether NaN and infinite values are refused.

  Raises:
    ValueError: the image is missing, damaged, not an image, or has non-finite pixels; or the crop
      does not lie inside it; or max_side is below 1. The message names the value and what is
      allowed.
  """
  bundled, template = is_bundled(source), None
  if bundled:
    values, alpha, digest, suffix = _read_bundled(source), False, source, ".png"
    if source in _dicom.DICOM_SLICES:
      template, suffix = _dicom.read_slice(source), ".dcm"
  elif source.startswith("tfds:"):
    (values, alpha, digest), suffix = _read_tfds(source, key), ".png"
  else:
    name, page = split_page(source)
    path = pathlib.Path(name)
    values, alpha, data = _read_file(path, key, page)
    digest, suffix = hashlib.sha256(data).hexdigest(), path.suffix.lower()
    suffix = ".png" if suffix in (".jpg", ".jpeg") else suffix  # JPEG would damage the result
    template = data if suffix == ".dcm" else None
  _check_values(values, source, key, finite)
  squeezed = values.ndim == 2
  values = values[..., None] if squeezed else values
  if crop is not None:
    top, left, height, width = crop
    if not (0 <= top and 0 <= left and 0 < height and 0 < width
            and top + height <= values.shape[0] and left + width <= values.shape[1]):
      raise ValueError(f"data.crop={tuple(crop)} does not lie inside the image of "
                       f"{values.shape[0]}x{values.shape[1]}; allowed: (top, left, height, width).")
    values = values[top:top + height, left:left + width]
  full = values.shape[:2]
  if max_side is not None:
    values = _shrink(values, max_side)
  return Picture(values=values[..., :-1] if alpha else values,
                 alpha=values[..., -1] if alpha else None,
                 squeezed=squeezed, suffix=suffix, digest=digest, bundled=bundled, template=template,
                 pixel_size=(full[0] / values.shape[0], full[1] / values.shape[1]))


def write_picture(path_stem: pathlib.Path, values: np.ndarray, like: Picture) -> pathlib.Path:
  """Write [H, W, C] in the layout of `like` (alpha, channel axis, format); return the path.

  PNG holds 8- and 16-bit grey or RGB; anything else becomes TIFF (`.tiff`), which holds it all.
  """
  full = values if like.alpha is None else np.concatenate(
      [values, like.alpha[..., None].astype(values.dtype)], axis=-1)
  array: Any = full[..., 0] if like.squeezed else full
  channels = full.shape[-1]
  suffix = like.suffix
  if suffix == ".png" and (values.dtype not in (np.uint8, np.uint16, bool) or channels > 4):
    suffix = ".tiff"
  path = path_stem.with_name(path_stem.name + suffix)
  if suffix == ".npy":
    np.save(path, array)
  elif suffix == ".dcm":
    _dicom.write_dicom(path, array, like.template, tuple(
        size * before / now for size, before, now in zip(like.pixel_size, like.values.shape, values.shape)))
  elif suffix == ".png" and values.dtype == np.uint16:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    png.from_array(full.reshape(full.shape[0], -1), f"{mode};16").save(path)
  elif suffix == ".png":
    PillowImage.fromarray(full[..., 0] if channels == 1 else full).save(path)
  else:
    alpha = {} if like.alpha is None else {"extrasamples": ["unassalpha"]}
    photometric = "rgb" if values.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(path, array, photometric=photometric,
                     **({} if array.ndim == 2 else {"planarconfig": "contig"}), **alpha)
  return path
