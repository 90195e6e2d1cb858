"""Image files for tests, written by other code than the one under test."""

import io

import numpy as np
from PIL import Image as PillowImage
import png
import tifffile

HEIGHT, WIDTH = 5, 7


def random_values(dtype, channels=None, seed=0):
  """Random [H, W] or [H, W, C] over the whole range of an integer type."""
  rng = np.random.default_rng(seed)
  shape = (HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels)
  dtype = np.dtype(dtype)
  if dtype.kind == "f":
    return rng.normal(100, 30, shape).astype(dtype)
  if dtype == bool:
    return rng.integers(0, 2, shape).astype(bool)
  info = np.iinfo(dtype)
  return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def file_bytes(save):
  buffer = io.BytesIO()
  save(buffer)
  return buffer.getvalue()


def png_8(values):
  return file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "PNG"))


def jpeg(values):
  return file_bytes(lambda buffer: PillowImage.fromarray(values).save(buffer, "JPEG"))


def png_16(values, mode):
  rows = values.reshape(values.shape[0], -1).tolist()
  return file_bytes(lambda buffer: png.from_array(rows, f"{mode};16").write(buffer))


def tiff(values, **options):
  return file_bytes(lambda buffer: tifffile.imwrite(buffer, values, **options))


def npy(values):
  return file_bytes(lambda buffer: np.save(buffer, values))


def palette_png(transparency=None):
  """A palette image, and the values [H, W, 3 or 4] that its indices stand for."""
  rng = np.random.default_rng(1)
  indices = rng.integers(0, 4, (HEIGHT, WIDTH), dtype=np.uint8)
  colours = rng.integers(0, 256, (4, 3), dtype=np.uint8)
  picture = PillowImage.frombytes("P", (WIDTH, HEIGHT), indices.tobytes())
  picture.putpalette(colours.tobytes())
  options = {} if transparency is None else {"transparency": bytes(transparency)}
  data = file_bytes(lambda buffer: picture.save(buffer, "PNG", **options))
  values = colours[indices]
  if transparency is not None:
    alpha = np.asarray(transparency, np.uint8)[indices]
    values = np.concatenate([values, alpha[..., None]], axis=-1)
  return data, values


def make_files():
  """Return name -> (suffix, bytes, values, whether the last channel is alpha)."""
  files = {}
  for name, channels in [("L", None), ("LA", 2), ("RGB", 3), ("RGBA", 4)]:
    alpha = name.endswith("A")
    values = random_values(np.uint8, channels)
    files[f"png 8-bit {name}"] = (".png", png_8(values), values, alpha)
    values = random_values(np.uint16, channels)
    files[f"png 16-bit {name}"] = (".png", png_16(values, name), values, alpha)
  values = random_values(bool)
  files["png 1-bit"] = (".png", png_8(values), 255 * values.astype(np.uint8), False)
  files["png palette"] = (".png", *palette_png(), False)
  files["png palette with alpha"] = (".png", *palette_png([0, 255, 128, 7]), True)
  for dtype in (np.uint8, np.uint16, np.int16, np.float32):
    name = np.dtype(dtype).name
    values = random_values(dtype)
    files[f"tiff {name} grey"] = (".tif", tiff(values), values, False)
    values = random_values(dtype, 3)
    files[f"tiff {name} RGB"] = (".tiff", tiff(values, photometric="rgb"), values, False)
    values = random_values(dtype, 4)
    files[f"tiff {name} RGBA"] = (
        ".tif", tiff(values, photometric="rgb", extrasamples=["unassalpha"]), values, True)
    values = random_values(dtype, 6)
    files[f"tiff {name} 6 channels"] = (
        ".tif", tiff(values, photometric="minisblack", planarconfig="contig"), values, False)
  values = random_values(np.uint8, 2)
  data = tiff(values, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
  files["tiff grey with alpha"] = (".tif", data, values, True)
  values = random_values(np.uint16, 4)
  data = tiff(values, photometric="minisblack", planarconfig="contig")
  files["tiff 4 channels without alpha"] = (".tif", data, values, False)
  data = tiff(np.moveaxis(values, -1, 0), photometric="minisblack", planarconfig="separate")
  files["tiff 4 planes"] = (".tif", data, values, False)
  data = tiff(values, photometric="minisblack", planarconfig="contig", compression="zlib")
  files["tiff deflated"] = (".tif", data, values, False)
  files["tiff big-endian"] = (".tif", tiff(values[..., 0], byteorder=">"), values[..., 0], False)
  for dtype in (bool, np.uint8, np.int32, np.float32, np.float64):
    name = np.dtype(dtype).name
    for channels in (None, 1, 3, 5):
      values = random_values(dtype, channels)
      files[f"npy {name} {values.ndim}-D {channels or ''}".strip()] = (
          ".npy", npy(values), values, False)
  return files


FILES = make_files()


def write(folder, suffix, data):
  path = folder / f"image{suffix}"
  path.write_bytes(data)
  return str(path)


def channels_last(values):
  return values[..., None] if values.ndim == 2 else values


def assert_same(actual, expected):
  assert actual.dtype == expected.dtype and actual.shape == expected.shape
  np.testing.assert_array_equal(actual, expected)
