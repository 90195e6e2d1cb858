"""What a measurement says of itself before it is restored: python -m oes_jax.inspect FILE, and oes_jax.inspect(array).

The module is called as its function `inspect` is, as oes_jax.inspect names both.
It ends with 0; with 2 where the file or a flag is faulty, or what is asked for is not there; with 74 where something cannot be
written.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import types
from typing import Any, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import inspection
from oes_jax import operators
from oes_jax import runs
from oes_jax.settings import nearest

# Operators of which a file can be the measurement.
_OPERATORS = tuple(name for name, family in operators.FAMILIES.items() if family.measures_image or family.read_scan)
_ARRAYS = ("mask", "kernel")  # settings that may be arrays


def _settings_of(operator: str | Mapping[str, Any]) -> tuple[operators.OperatorSettings, dict[str, Any]]:
  """Return (settings of an operator, what was told beside its name).

  Raises:
    ValueError: it is neither a name nor a dictionary with one, or has another key.
  """
  if not isinstance(operator, (str, Mapping)) or isinstance(operator, Mapping) and "name" not in operator:
    without = " without a name" if isinstance(operator, Mapping) else ""
    raise ValueError(f"operator is a {type(operator).__name__}{without}; allowed: a name, or a dictionary with 'name' and other "
                     "keys of operator.")
  chosen = {"name": operator} if isinstance(operator, str) else dict(operator)
  known = [field.name for field in dataclasses.fields(operators.OperatorSettings)]
  for key in chosen:
    if key not in known:
      raise ValueError(f"operator has {key!r}{nearest(key, known)}; allowed: {', '.join(known)}.")
  plain = {key: value for key, value in chosen.items() if key not in _ARRAYS or isinstance(value, str)}
  settings = operators.OperatorSettings(**plain)
  if settings.name not in _OPERATORS:
    raise ValueError(f"operator={settings.name!r} is simulated only; allowed: {', '.join(_OPERATORS)}.")
  return settings, {key: value for key, value in chosen.items() if key != "name"}


def _is_stack(measurement: Any) -> bool:
  """Whether an argument is an array [pages, H, W, C] or a list of images; a nested list of numbers is one image."""
  if isinstance(measurement, (list, tuple)):
    return bool(measurement) and all(hasattr(image, "ndim") and image.ndim in (2, 3) for image in measurement)
  return getattr(measurement, "ndim", 0) == 4


def _inspect_stack(images: Sequence[np.ndarray], operator: str | Mapping[str, Any] | None) -> inspection.Findings:
  """Return what is found of the middle one of several images, with what some of them say together."""
  name = "measurement[{}]".format
  middle, count = len(images) // 2, len(images)
  looked_at = {name(number): inspect(images[number], operator=operator)
               for number in inspection.some_pages(count, np.size(images[middle]))}
  return inspection.with_pages(looked_at[name(middle)], looked_at, count, f"{count} images were given")


def inspect(measurement: np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray], *, operator: str | Mapping[str, Any] | None = None,
            ) -> inspection.Findings:
  """Look at one measurement before it is restored: its values, defects, noise and conventions, from itself alone.

  Args:
    measurement: [H, W] or [H, W, C], of any real type, NaN where a pixel is lost; or a dictionary of the arrays of a scan
      (kspace, and perhaps coil_maps and sampling; or sinogram, angles and shape). Or a stack [pages, H, W, C], or a list of
      images: the middle one is looked at, and how far the noise of some of them is apart.
    operator: what was measured: the name of an operator, or its settings such as {"name": "inpainting", "mask": array}, as
      oes_jax.restore takes them; None: all of an image, or what the arrays of a scan are of.

  Returns:
    Findings, plain numbers with their units; their text is a report that ends with the call it recommends.

  Raises:
    ValueError: an argument is not allowed; the message names it.

  Example:
    >>> import numpy as np, oes_jax
    >>> image = np.add.outer(np.linspace(50, 150, 64), np.linspace(0, 50, 64))
    >>> noisy = np.random.default_rng(0).normal(image, 10)
    >>> findings = oes_jax.inspect(noisy)
    >>> round(findings.noise.sigma_value), findings.recommendation.operator
    (10, 'identity')
  """
  settings, told = (None, {}) if operator is None else _settings_of(operator)
  if isinstance(measurement, Mapping):
    _check_scan(measurement, settings)
    arrays = {name: runs.as_array(value, f"measurement[{name!r}]", kinds="biufc") for name, value in measurement.items()
              if value is not None}
    return inspection.inspect_scan(arrays, settings)
  if settings is not None and not operators.FAMILIES[settings.name].measures_image:
    raise ValueError(f"operator={settings.name!r} measures no image, and measurement is an array; allowed: a dictionary of "
                     "arrays.")
  if _is_stack(measurement):
    return _inspect_stack(list(measurement), operator)
  values = runs.as_array(measurement, "measurement")
  if values.ndim not in (2, 3):
    raise ValueError(f"measurement has shape {values.shape}; allowed: [H, W], [H, W, C] or [pages, H, W, C].")
  values = values[..., None] if values.ndim == 2 else values
  mask = None if told.get("mask") is None else runs.as_array(told["mask"], "operator.mask")
  if mask is not None and mask.shape != values.shape[:2]:
    raise ValueError(f"operator.mask has shape {mask.shape}; allowed: {values.shape[:2]}, that of the measurement.")
  return inspection.inspect_image(values, operator=settings.name if settings else "identity", mask=mask, told={
      f"operator.{key}": value for key, value in told.items() if key not in _ARRAYS})


def _check_scan(measurement: Mapping[str, Any], settings: operators.OperatorSettings | None) -> None:
  """Raise a ValueError where a dictionary is no scan, or not one of the operator that was told."""
  wanted = [settings.name] if settings else ["mri", "tomography"]
  families = [operators.FAMILIES[name] for name in wanted]
  if not any(family.read_scan and set(family.arrays) <= {*measurement} for family in families):
    allowed = " or ".join(
        f"{', '.join(family.arrays)} ({name})" for name, family in zip(wanted, families) if family.read_scan)
    raise ValueError(f"measurement has the arrays {', '.join(map(repr, measurement))}; allowed: "
                     f"{allowed or f'an image, which operator={wanted[0]!r} measures'}.")


def _look_at(source: str, operator: str | None) -> inspection.Findings:
  """Return what is found of one image or scan in a file.

  Raises:
    ValueError: it cannot be read; the message names it.
  """
  if files.is_scan(source):
    return _look_at_scan(source, operator)
  settings = operators.OperatorSettings(name=operator or "identity")
  if not operators.FAMILIES[settings.name].measures_image:
    raise ValueError(f"--operator={operator} measures no image, which {source!r} is; allowed: an NPZ, HDF5 or MAT file.")
  picture = files.read_picture(source, finite=False)
  try:
    found = inspection.inspect_image(picture.values, operator=settings.name, limits=picture.full_range)
  except ValueError as error:
    raise ValueError(f"data.source={source!r}: {error}") from error
  said = picture.remarks + runs.remark_channels(picture, "set data.channel_axis=0")
  if picture.bundled:
    said += ("a bundled image is clean, and a run adds noise to it",)
    plain = found.recommendation and inspection.Recommendation(settings.name, "quick", {}, False, ())
    found = dataclasses.replace(found, recommendation=plain)
  return dataclasses.replace(found, remarks=said + found.remarks)


def _look_at_scan(source: str, operator: str | None) -> inspection.Findings:
  path, part = files.split_page(source)
  families = [operators.FAMILIES[name] for name in ("mri", "tomography")]
  wanted = [name for family in families for name in (*family.arrays, *family.optional)]
  arrays, _, said = files.read_arrays(path, wanted, part and part[0])
  name = operator or ("tomography" if arrays.get("sinogram") is not None else "mri")
  family = operators.FAMILIES[name]
  if family.read_scan is None:
    raise ValueError(f"--operator={operator} does not read a scan, which {source!r} is; allowed: mri, tomography.")
  arrays = {key: value if key in (*family.arrays, *family.optional) else None for key, value in arrays.items()}
  try:
    found = inspection.inspect_scan(arrays, operators.OperatorSettings(name=name))
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"data.source={source!r} cannot be read as a scan: {error}.") from error
  return dataclasses.replace(found, remarks=said + found.remarks)


def _save_plot(path: str, found: inspection.Findings) -> None:
  if found.noise is None or found.noise.brightness is None:
    raise ValueError(f"--plot={path}: how the noise depends on brightness cannot be told here; allowed: no --plot.")
  line = found.noise.brightness
  files.save_noise(pathlib.Path(path), line.values, line.variances, (line.gain, line.intercept))


def _look_at_others(images: Sequence[str], one: str, found: inspection.Findings, operator: str | None,
                    ) -> dict[str, inspection.Findings]:
  """Return what is found of some other pages of a stack; {} of images that are files of their own, and of scans."""
  if len({files.split_page(image)[0] for image in images}) > 1 or found.values is None:
    return {}
  others = {}
  for number in inspection.some_pages(len(images), int(np.prod(found.values.shape))):
    if images[number] != one:
      with contextlib.suppress(ValueError):  # a page that cannot be read; a run says why
        others[images[number]] = _look_at(images[number], operator)
  return others


def _run(arguments: argparse.Namespace, program: str) -> None:
  source = os.path.expanduser(arguments.file)
  images = files.list_sources(source)
  one = images[len(images) // 2]
  found = _look_at(one, arguments.operator)
  if len(images) > 1:
    found = inspection.with_pages(found, {one: found, **_look_at_others(images, one, found, arguments.operator)}, len(images),
                                  f"{source} holds {len(images)} images")
  if arguments.mask is not None and found.mask is None:
    raise ValueError(f"--mask={arguments.mask}: no pixel is lost; allowed: no --mask.")
  if arguments.mask is not None:
    files.write_array(pathlib.Path(arguments.mask), found.mask)
  if arguments.plot is not None:
    _save_plot(arguments.plot, found)
  if arguments.json:
    command = found.recommendation and found.recommendation.command(source, arguments.mask or "lost.npy", program)
    print(json.dumps({**found.as_dict(), "command": command}, indent=1))
  else:
    print(found.report(source, arguments.mask, program))


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Add what `main` takes to a parser."""
  parser.add_argument("file", help="an image, a scan, or a bundled image's name; of many (a folder, a stack) the middle one is "
                      "looked at")
  parser.add_argument("--operator", choices=_OPERATORS,
                      help="what was measured; default: all of an image, or what a scan's arrays are of")
  parser.add_argument("--plot", metavar="PNG", help="write a plot of the noise's variance against brightness")
  parser.add_argument("--mask", metavar="NPY", help="write the mask of pixels without data, dead or hot: 0 where lost")
  parser.add_argument("--json", action="store_true", help="print the numbers as JSON in place of the report")


def main(argv: list[str] | None = None, prog: str = "python -m oes_jax.inspect") -> None:
  """Print the report of one file.

  Args:
    argv: arguments; None: those of the command line.
    prog: what the program is called in its help.
  """
  parser = argparse.ArgumentParser(prog=prog, description=__doc__.partition("\n")[0])
  add_arguments(parser)
  arguments = parser.parse_args(argv)
  try:
    _run(arguments, "oes-jax" if prog.startswith("oes-jax") else "python -m oes_jax")
  except (ValueError, OSError) as error:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(os.EX_IOERR if isinstance(error, OSError) else 2)


class _CalledModule(types.ModuleType):
  """A module that is called as its function `inspect` is."""

  def __call__(self, *args, **kwargs):
    return inspect(*args, **kwargs)


if __name__ == "__main__":
  runs.drop_output_that_nobody_takes()
  runs.end_at_once_by_ctrl_c()
  main()
else:
  sys.modules[__name__].__class__ = _CalledModule
