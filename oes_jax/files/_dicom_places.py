"""Elements of a DICOM file that hold distances and places in pixels: they follow a crop and other pixels, or go."""

import re
from typing import Any

import numpy as np

# Elements that hold the distance of pixels.
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_OVERLAYS = range(0x6000, 0x6100)
# What covers a part of the whole image, or lies in it, by what it is called.
_OF_THE_WHOLE = {
    "shutter": re.compile(r"Shutter(Shape|\w+Edge|OverlayGroup)|\w+CircularShutter|VerticesOfThePolygonalShutter|"
                          "FrameDisplayShutterSequence"),
    "collimator": re.compile(r"Collimator(Shape\w*|\w+Edge)|\w+CircularCollimator|VerticesOfThePolygonalCollimator"),
    "field of view": re.compile("FieldOfView(Origin|Dimensions|Shape|DimensionsInFloat|Sequence)"),
    "zoom": re.compile("Zoom(Factor|Center)")}
_PLACES_IN_REGIONS = re.compile(r"DopplerSampleVolume\w+Position|TMLinePosition\w+")


def holder(dataset, name: str):
  """Return the part of a file that has an element: a functional group, where an enhanced file has it there; else the file."""
  parts = [part for part in _parts(dataset) if name in part]
  return parts[0] if parts else dataset


def _groups(dataset) -> list:
  """Return the functional groups of an enhanced file."""
  return [group for kind in ("PerFrame", "Shared") for group in dataset.get(f"{kind}FunctionalGroupsSequence") or ()]


def _parts(dataset) -> list:
  """Return what the functional groups of an enhanced file hold."""
  return [part for group in _groups(dataset) for element in group if element.VR == "SQ" for part in element.value]


def _number(value: float):
  import pydicom  # pylint: disable=import-outside-toplevel
  return pydicom.valuerep.DSfloat(float(value), auto_format=True)


def _move_position(dataset, rows: float, columns: float) -> tuple[str, ...]:
  """Move the position of a slice to the pixel at a place in it; return what is said where that cannot be told."""
  counts = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
  parts = {name: holder(dataset, name) for name in counts}
  known = [name in parts[name] and parts[name][name].VM == count for name, count in counts.items()]
  if not known[0] or (rows, columns) == (0, 0):
    return ()
  if not all(known):
    return ("its ImagePositionPatient is left as it is, that of the first pixel of the whole image: without "
            "ImageOrientationPatient and PixelSpacing nothing says where another one lies",)
  position, orientation, (height, width) = (np.array(list(map(float, parts[name][name].value))) for name in counts)
  moved = position + columns * width * orientation[:3] + rows * height * orientation[3:]
  parts["ImagePositionPatient"].ImagePositionPatient = [_number(each) for each in moved]
  return ()


def _drop_what_is_of_the_whole(dataset) -> list[str]:
  """Drop what has the size of the whole image or a place in it; return what that is called."""
  dropped = []
  for part in (dataset, *_groups(dataset), *_parts(dataset)):
    for tag in list(part.keys()):
      name = part[tag].keyword
      called = "overlays" if tag >> 16 in _OVERLAYS else next(
          (called for called, names in _OF_THE_WHOLE.items() if names.fullmatch(name)), None)
      if called:
        del part[tag]
        dropped.append(called)
  return list(dict.fromkeys(dropped))


def _follow(region, axis: str, first: int, scale: float) -> bool:
  """Let a region of an ultrasound image follow along one axis; return whether something of it is left."""
  names = [f"RegionLocationMin{axis}0", f"RegionLocationMax{axis}1"]
  if not all(name in region for name in names):
    return False
  begin, end = (float(region[name].value) for name in names)
  start, stop = max(0, round((begin - first) / scale)), round((end + 1 - first) / scale)
  if stop <= start:
    return False
  reference = f"ReferencePixel{axis}0"  # from the region's own corner
  if reference in region:
    setattr(region, reference, round((begin + region[reference].value + 0.5 - first) / scale - 0.5) - start)
  if f"PhysicalDelta{axis}" in region:
    setattr(region, f"PhysicalDelta{axis}", scale * region[f"PhysicalDelta{axis}"].value)
  for name, place in zip(names, (start, stop - 1)):
    setattr(region, name, place)
  return True


def _follow_regions(dataset, top: int, left: int, size: tuple[float, float]) -> list[str]:
  """Let the regions of an ultrasound image follow; return what is dropped of them."""
  regions = dataset.get("SequenceOfUltrasoundRegions") or []
  kept = [region for region in regions if _follow(region, "X", left, size[1]) and _follow(region, "Y", top, size[0])]
  lines = [(region, tag) for region in kept for tag in list(region.keys())
           if _PLACES_IN_REGIONS.fullmatch(region[tag].keyword)]
  for region, tag in lines:
    del region[tag]
  if len(kept) < len(regions):
    dataset.SequenceOfUltrasoundRegions = kept
  return ["sample volumes and lines of ultrasound"] * bool(lines) + ["regions of ultrasound outside of it"] * (len(kept) < len(regions))


def cut_regions(dataset) -> tuple[str, ...]:
  """Let regions of an ultrasound image end where it does, after its rows and columns were set; return what is said."""
  regions = dataset.get("SequenceOfUltrasoundRegions") or []
  ends = {"RegionLocationMaxX1": dataset.Columns - 1, "RegionLocationMaxY1": dataset.Rows - 1}
  for region in regions:
    for name, end in ends.items():
      if name in region:
        setattr(region, name, min(region[name].value, end))
  kept = [region for region in regions if not any(
      region.get(f"RegionLocationMin{axis}0", 0) > region.get(f"RegionLocationMax{axis}1", 0) for axis in "XY")]
  if len(kept) == len(regions):
    return ()
  dataset.SequenceOfUltrasoundRegions = kept
  return (f"{len(regions) - len(kept)} of its regions of ultrasound lie outside of the image, and are not kept",)


def follow(dataset: Any, top: int = 0, left: int = 0, pixel_size: tuple[float, float] = (1, 1)) -> tuple[str, ...]:
  """Let elements follow a crop, and then pixels of another size; drop what cannot.

  Args:
    dataset: a file, which is changed: of its distances, the position of its first pixel's middle, and regions of ultrasound.
    top, left: place of the first pixel that is left.
    pixel_size: height and width of a pixel, in those of the file.

  Returns:
    Lines that say what is not kept.
  """
  dropped = _drop_what_is_of_the_whole(dataset) + _follow_regions(dataset, top, left, pixel_size)
  said = (f"its {', '.join(dropped)} hold for the whole image in its own pixels, and are not kept",) if dropped else ()
  said += _move_position(dataset, *(first + (scale - 1) / 2 for first, scale in zip((top, left), pixel_size)))
  for name in _SPACINGS:
    part = holder(dataset, name)
    if pixel_size != (1, 1) and name in part and part[name].VM == 2:  # an emptied one stays empty
      setattr(part, name, [_number(scale * float(spacing)) for scale, spacing in zip(pixel_size, part[name].value)])
  return said
