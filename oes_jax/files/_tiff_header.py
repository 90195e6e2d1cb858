"""What a restored TIFF file takes over of the file that it was made of: colour profile, calibration and descriptions."""

import math
from typing import Any, NamedTuple, Sequence
import uuid

import numpy as np
import tifffile

from oes_jax.files import _orientation
from oes_jax.files import _tiff_frames

# Texts of the file as a whole that are carried along.
_TEXTS = (269, 271, 272, 285, 315, 316, 33432,  # DocumentName, Make, Model, PageName, Artist, HostComputer, Copyright
          42112, 42113, 700)  # GDAL_METADATA, GDAL_NODATA, XMP
# Of a whole image in its own grid alone: GeoTIFF's and GDAL's.
_PLACED = {33550: "ModelPixelScale", 33922: "ModelTiepoint", 34264: "ModelTransformation", 34735: "GeoKeyDirectory",
           34736: "GeoDoubleParams", 34737: "GeoAsciiParams"}
_ICC, _XMP, _EXIF = 34675, 700, 34665
_RATIONALS = (282, 283)  # pixels per unit along x and y
_LARGEST = 2 ** 32 - 2 ** 25  # bytes of values in a TIFF file that is no BigTIFF, as tifffile has it
_SAME_IN_ALL = ("PhysicalSizeX", "PhysicalSizeXUnit", "PhysicalSizeY", "PhysicalSizeYUnit", "PhysicalSizeZ",
                "PhysicalSizeZUnit", "TimeIncrement", "TimeIncrementUnit")
_OME_TEXTS = ("Name", "Description", "AcquisitionDate")
# Entries of ImageJ and OME: what tifffile counts itself, what only a whole stack has, and what only a whole image has.
_COUNTED = ("ImageJ", "SCIFIO", "images", "channels", "slices", "frames", "hyperstack")
_OF_STACK = ("mode", "Labels", "Ranges", "LUTs", "Channel")
_OF_WHOLE_IMAGE = ("ROI", "Overlays", "Plot")


class Header(NamedTuple):
  """What is carried from file to file.

  Attributes:
    photometric: tifffile's name of what the values mean: "minisblack", "miniswhite", "rgb".
    resolution: pixels per unit along x and y; None where the file does not say.
    unit: number of the unit of TIFF: 1 none, 2 inch, 3 centimetre.
    icc: colour profile.
    description: text of the file; None where a program's own entries stand there.
    datetime: when the image was taken or changed, as stored.
    tags: further tags, as tifffile.imwrite takes them.
    placed: tags that hold for a whole image in its own grid.
    program: whose entries `entries` are: "imagej", "ome" or None.
    entries: calibration and names, as tifffile.imwrite takes them.
    axes: tifffile's letters and lengths of the axes of the file's stack, such as (("Z", 12),); () for none.
    colormap: palette of ImageJ [3, N] that shows intensities; or None.
    extras: tifffile's names of the samples beyond grey or colours: "assocalpha", "unassalpha", "unspecified".
    bits: bits of a sample, where they are packed; None where they fill their type.
    channel: name of the channel of OME that an image of a stack is of; or None.
  """
  photometric: str
  resolution: tuple[float, float] | None = None
  unit: int = 1
  icc: bytes | None = None
  description: str | None = None
  datetime: str | None = None
  tags: tuple[tuple, ...] = ()
  placed: tuple[tuple, ...] = ()
  program: str | None = None
  entries: dict[str, Any] = {}
  axes: tuple[tuple[str, int], ...] = ()
  colormap: np.ndarray | None = None
  extras: tuple[str, ...] = ()
  bits: int | None = None
  channel: str | None = None


def _extra_tag(page: tifffile.TiffPage, code: int) -> tuple:
  tag = page.tags[code]
  return code, int(tag.dtype), tag.count, tag.value, False


def _ome_entries(file: tifffile.TiffFile, series: tifffile.TiffPageSeries | None) -> tuple[dict[str, Any], list[str]]:
  """Return (entries for tifffile, what is not carried) of the image of OME-XML that a series is."""
  images = tifffile.xml2dict(file.ome_metadata)["OME"].get("Image", {})
  images = images if isinstance(images, list) else [images]
  if series is None or len(images) != len(file.series):
    return {}, ["its OME metadata describe other images than it holds, and are not kept"]
  image = images[file.series.index(series)]
  pixels = image.get("Pixels", {})
  entries = {name: image[name] for name in _OME_TEXTS if isinstance(image.get(name), (str, int, float))}
  entries |= {name: pixels[name] for name in _SAME_IN_ALL if name in pixels}
  channels = pixels.get("Channel", [])
  names = [str(channel.get("Name", "")) for channel in (channels if isinstance(channels, list) else [channels])]
  if any(names):
    entries["Channel"] = {"Name": names}
  return entries, ["of its OME metadata, names, pixel sizes and time steps are kept, and nothing else"]


def _channel_of(entries: dict[str, Any], axes: tuple[tuple[str, int], ...], place: int) -> str | None:
  """Return the name of the channel that an image of a stack is of, where the stack has one for each."""
  letters, lengths = [axis for axis, _ in axes], tuple(length for _, length in axes)
  names = entries.get("Channel", {}).get("Name", [])
  if "C" not in letters or len(names) != lengths[letters.index("C")]:
    return None
  return names[np.unravel_index(place, lengths)[letters.index("C")]]


def _imagej_entries(file: tifffile.TiffFile) -> dict[str, Any]:
  return {name: value for name, value in file.imagej_metadata.items() if name not in _COUNTED}


def read_header(file: tifffile.TiffFile, frame: _tiff_frames.Frame) -> tuple[Header, list[str]]:
  """Return (what is carried of an image of an open file, lines that say what is not)."""
  remarks, program, entries, page = [], None, {}, frame.page
  if file.is_imagej:
    program, entries = "imagej", _imagej_entries(file)
  elif file.is_ome:
    program = "ome"
    entries, remarks = _ome_entries(file, frame.series)
  texts = [_extra_tag(page, code) for code in _TEXTS if code in page.tags]
  if _EXIF in page.tags:
    remarks.append("its EXIF block is not kept; its profile, resolution and descriptions are")
  own = program is None and page.description and not page.is_shaped
  has_resolution = all(code in page.tags for code in _RATIONALS)
  names = {tifffile.PHOTOMETRIC.MINISWHITE: "miniswhite", tifffile.PHOTOMETRIC.RGB: "rgb", tifffile.PHOTOMETRIC.YCBCR: "rgb"}
  axes, bits = () if frame.series is None else _tiff_frames.stack_axes(frame.series), page.bitspersample
  has_palette = page.photometric == tifffile.PHOTOMETRIC.PALETTE  # else a colour map is of no use to what reads the file
  packed = page.dtype.kind == "u" and bits < 8 * page.dtype.itemsize and not has_palette
  header = Header(
      photometric=names.get(page.photometric, "minisblack"), resolution=page.resolution if has_resolution else None,
      unit=int(page.resolutionunit), icc=page.tags.valueof(_ICC), description=page.description if own else None,
      datetime=page.tags.valueof(306), tags=tuple(texts),
      placed=tuple(_extra_tag(page, code) for code in _PLACED if code in page.tags), program=program, entries=entries,
      axes=axes, colormap=page.colormap if has_palette else None,
      extras=tuple(tifffile.EXTRASAMPLE(kind).name.lower() for kind in page.extrasamples), bits=bits if packed else None,
      channel=_channel_of(entries, axes, frame.place))
  return header, remarks


def turned(header: Header, orientation: int) -> Header:
  """Return the header of an image that was turned as its orientation tag says: x and y may have changed places."""
  resolution = header.resolution
  if resolution is not None and orientation in _orientation.SWAPPING:
    resolution = resolution[::-1]
  return header._replace(resolution=resolution, tags=tuple(tag for tag in header.tags if tag[0] != _XMP), placed=())


def plain(header: Header, colours: int) -> Header:
  """Return the header of a file that says nothing but what its values mean, with so many channels beside alpha."""
  kept = header.photometric if colours == 1 and header.photometric == "miniswhite" else "minisblack"
  return Header("rgb" if colours == 3 else kept, extras=header.extras, bits=header.bits)


def of_part(header: Header) -> tuple[Header, tuple[str, ...]]:
  """Return (header, what is said) of a part of an image, or of one in another grid: what lies at places of the whole goes."""
  dropped = [*(_PLACED[tag[0]] for tag in header.placed), *(name for name in _OF_WHOLE_IMAGE if name in header.entries)]
  if not dropped:
    return header, ()
  entries = {name: value for name, value in header.entries.items() if name not in _OF_WHOLE_IMAGE}
  return header._replace(placed=(), entries=entries), (
      f"{', '.join(dropped)} of the file hold for the whole image in its own pixels, and are not kept",)


def of_stack(header: Header, original: Header) -> Header:
  """Return the header of all images of a file together: of the first restored one, and what the file has for the stack."""
  entries = {name: value for name, value in original.entries.items() if name in _OF_STACK}
  return header._replace(axes=original.axes, entries={**header.entries, **entries})


def _scaled(header: Header, scale: tuple[float, float]) -> Header:
  """Return the header of an image whose pixels are `scale` (height, width) times as large."""
  if scale == (1, 1):
    return header
  header, _ = of_part(header)
  resolution = header.resolution and (header.resolution[0] / scale[1], header.resolution[1] / scale[0])
  sizes = {name: float(header.entries[name]) * factor for name, factor in zip(("PhysicalSizeY", "PhysicalSizeX"), scale)
           if name in header.entries}
  return header._replace(resolution=resolution, entries={**header.entries, **sizes})


def write_images(path, values: np.ndarray, header: Header | None, *, alpha: bool = False, stacked: bool = False,
                 scale: tuple[float, float] = (1, 1)) -> None:
  """Write an image, or a stack of them, under a header.

  Args:
    path: path of the file, or a stream.
    values: [H, W] or [H, W, C], or with an axis of images before them.
    header: what the file takes over; None for nothing.
    alpha: whether the last channel is alpha.
    stacked: whether the first axis is that of images.
    scale: height and width of a pixel, in those of the header.
  """
  values, options = _prepare(values, header, alpha, stacked, scale)
  tifffile.imwrite(path, values, **{"ome": False, **options})  # else a name makes OME of it, which has not all types


def list_differences(headers: Sequence[Header]) -> list[str]:
  """Return the fields in which the headers of the pages of a file differ, which one header for all of them would lose."""
  fields = ("photometric", "description", "datetime", "tags", "placed", "icc", "resolution", "unit")
  return [field for field in fields if len({repr(getattr(header, field)) for header in headers}) > 1]


def write_pages(path, pages: Sequence[np.ndarray], headers: Sequence[Header], *, alpha: bool = False) -> None:
  """Write images as the pages of a file, each under its own header; arguments as of `write_images`."""
  with tifffile.TiffWriter(path, bigtiff=sum(page.nbytes for page in pages) > _LARGEST) as file:
    for page, header in zip(pages, headers):
      values, options = _prepare(page, header, alpha, False, (1, 1))
      file.write(values, **{**options, "metadata": None})


def _prepare(values: np.ndarray, header: Header | None, alpha: bool, stacked: bool,
             scale: tuple[float, float]) -> tuple[np.ndarray, dict[str, Any]]:
  """Return (values, options) for tifffile; arguments as of `write_images`."""
  channels = values.shape[-1] if values.ndim == 3 + stacked else None
  options: dict[str, Any] = {"software": "oes_jax"}
  planes = (channels or 1) > 1 and values.dtype == bool  # tifffile mixes up the bits of samples that lie side by side
  if (channels or 1) > 1:
    options["planarconfig"] = "separate" if planes else "contig"
  base = 3 if (channels or 1) >= 3 and (header is None or header.photometric == "rgb") else 1
  more = (channels or 1) - base  # of which tifffile makes alpha where nothing is said
  if header is not None or alpha:
    known = header is not None and len(header.extras) == more
    options["extrasamples"] = list(header.extras) if known else ["unassalpha"] if alpha else ["unspecified"] * more
  if header is None:
    options["photometric"] = "rgb" if (channels or 1) - alpha == 3 else "minisblack"
  else:
    if header.bits is not None:
      options["bitspersample"], values = header.bits, np.minimum(values, 2 ** header.bits - 1).astype(values.dtype)
    outer = _outer_axes(header, values.shape[:1]) if stacked else ()
    inner = "YX" if channels is None else "SYX" if planes else "YXS"
    options |= _options_of(_scaled(header, scale), "".join(axis for axis, _ in outer) + inner)
    values = values.reshape(*(length for _, length in outer), *values.shape[stacked:])
  return np.moveaxis(values, -1, -3) if planes else values, options


def _outer_axes(header: Header, count: tuple[int]) -> tuple[tuple[str, int], ...]:
  """Return letters and lengths of the axes of a stack: the file's where it holds just these images, else Z alone."""
  known = math.prod(length for _, length in header.axes) == count[0] and {axis for axis, _ in header.axes} <= set("TZC")
  return header.axes if known else (("Z", *count),)


def _options_of(header: Header, axes: str) -> dict[str, Any]:
  """Return tifffile's options of values whose axes have these letters."""
  resolution = {} if header.resolution is None else {"resolution": header.resolution, "resolutionunit": header.unit}
  options = {"photometric": header.photometric, "iccprofile": header.icc, "datetime": header.datetime, **resolution,
             "extratags": [*header.tags, *header.placed]}
  if header.colormap is not None:
    options |= {"colormap": header.colormap, "photometric": "palette"}
  if header.program is None:
    return {**options, "description": header.description, "metadata": None} if header.description else options
  whole = axes.rstrip("YXS") == "".join(axis for axis, _ in header.axes)
  entries = {name: value for name, value in header.entries.items() if whole or name not in _OF_STACK}
  if not whole and header.channel:
    entries["Channel"] = {"Name": [header.channel]}
  if header.program == "imagej":
    return {**options, "imagej": True, "metadata": {**entries, "axes": axes}}
  name = uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(entries.items())))  # not by the clock: a file made again is the same
  return {**options, "ome": True, "metadata": {**entries, "axes": axes, "UUID": str(name)}}
