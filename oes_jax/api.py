"""The one-line call: arrays in, arrays out."""

import contextlib
import pathlib
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from oes_jax import files
from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators
from oes_jax import runs
from oes_jax import sweeps

Measurement = np.ndarray | Mapping[str, np.ndarray]
# Sections of which no key is of a single restoration in memory.
_NO_SECTIONS = ("sweep", "checkpoint")


def _set(config, key: str, value: Any) -> None:
  """Set one key of a config by its dotted name.

  Raises:
    ValueError: there is no such key, or the value has another type.
  """
  section, _, name = key.rpartition(".")
  there = config.to_dict()
  there = there.get(section, {}) if section else there
  if name not in there or isinstance(there[name], dict) or section in _NO_SECTIONS:
    raise ValueError(f"{key!r} is no key of a restoration; allowed: those that `python -m oes_jax.main --help` lists, such "
                     "as 'weights.num_steps', without `sweep`.")
  if isinstance(value, list):
    value = tuple(value)
  elif isinstance(value, pathlib.PurePath):
    value = str(value)
  try:
    config.update_from_flattened_dict({key: value.item() if isinstance(value, np.generic) else value})
  except TypeError as error:
    raise ValueError(f"{key}={value!r} is a {type(value).__name__}; allowed: a value of another type, see --help.") from error


def _make_config(operator: str | Mapping[str, Any], told: Mapping[str, Any]):
  """Return (config, {setting of the operator: array}) of a call."""
  chosen = {"name": operator} if isinstance(operator, str) else dict(operator)
  if "name" not in chosen:
    raise ValueError(f"operator has {', '.join(map(repr, chosen)) or 'nothing'}; allowed: 'name', and with it the "
                     "other keys of `operator`.")
  changes = {f"operator.{key}": value for key, value in chosen.items()} | dict(told)
  config = runs.make_config(str(changes["operator.name"]), experiment="call", **{"operator.simulate": False})
  if not changes.get("operator.simulate"):
    config.update_from_flattened_dict({"noise.sigma": None})  # of what is simulated
  arrays = {}
  for key, value in changes.items():
    if np.ndim(value) > 0 and not isinstance(value, (str, tuple, list)):
      if key not in ("operator.mask", "operator.kernel"):
        raise ValueError(f"{key} is an array; allowed: arrays of operator.mask and operator.kernel alone.")
      arrays[key.rpartition(".")[2]] = np.asarray(value)
    else:
      _set(config, key, value)
  return config, arrays


def _own_operator(operator: Any, measurement: Any) -> operators.ForwardOperator | None:
  """Return an operator that was given as an object or a function, or None where it has a name."""
  if isinstance(operator, (str, Mapping)):
    return None
  if isinstance(operator, operators.ForwardOperator):
    return operator
  if not callable(operator):
    raise ValueError(f"operator is a {type(operator).__name__}; allowed: a name, a dictionary with a name, an operator of "
                     "oes_jax.operators, or a function image -> measurement.")
  shape = np.shape(measurement)
  if len(shape) != 3:
    raise ValueError(f"operator is a function, and measurement has shape {shape}, from which that of the image does not "
                     "follow; allowed: operators.from_function(function, (H, W, C)).")
  return operators.from_function(operator, shape)


def _planes(settings: runs.Settings, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Return the arrays of the operator's settings, those that it names as files read."""
  found, known = dict(arrays), {"mask": operators.DAMAGE, "kernel": operators.KERNELS}
  for key, names in known.items():
    path = getattr(settings.operator, key)
    if key not in found and path is not None and path not in names:
      found[key] = files.read_picture(path, key=f"operator.{key}").values.astype(np.float64).mean(-1)
  return found


def _asked(config, mask: Any, weights: fitting.TrainWeights | None) -> runs.Settings:
  """Return the settings of a call, with those that were given as objects."""
  settings = runs.check_config(config)
  if weights is not None:
    settings = settings._replace(weights=weights)
  if isinstance(mask, fitting.LearnMask):
    return settings._replace(learn=mask, mask=runs.MaskSettings(source="learn"))
  return settings if isinstance(mask, str) else settings._replace(mask=runs.MaskSettings(source="dense"))


def _restore_in_memory(arrays, truths, operator, told, *, generator, mask, weights, loss, progress):
  """Restore a list of measurements in memory."""
  named = operator if isinstance(operator, (str, Mapping)) else "identity"
  config, planes = _make_config(named, told)
  settings = _asked(config, mask, weights)
  planes = _planes(settings, planes)
  jobs = [runs.job_of_arrays(settings, runs.Given(
      array, clean, planes, _own_operator(operator, array), generator, loss)) for array, clean in zip(arrays, truths)]
  tree = None if mask is None or isinstance(mask, (str, fitting.LearnMask)) else mask
  return runs.restore_in_memory(jobs, mask=tree, progress=progress)


def _restore_in_folder(arrays, truths, operator, told, folder: pathlib.Path, several: bool):
  """Restore a list of measurements, each in a folder of its own where there are several."""
  restored = []
  with contextlib.ExitStack() as stack:
    signals = stack.enter_context(runs.Signals())
    for number, (array, clean) in enumerate(zip(arrays, truths)):
      place = folder / f"{number:04d}" if several else folder
      config, planes = _make_config(operator, told)
      for name, plane in planes.items():
        _set(config, f"operator.{name}", sweeps.write_array(place, name, plane))
      _set(config, "data.source", sweeps.write_array(place, "measurement", array))
      if clean is not None:
        _set(config, "data.truth", sweeps.write_array(place, "truth", clean))
      restored.append(sweeps.restore_in_folder(config, place, signals))
  return restored


def restore(measurement: Measurement | Sequence[Measurement], *,
            operator: str | Mapping[str, Any] | operators.ForwardOperator | Callable[[Any], Any] = "identity",
            truth: np.ndarray | Sequence[np.ndarray] | None = None, ensemble: int = 1, seed: int = 0,
            generator: generators.Generator | None = None, mask: Any = "auto",
            weights: fitting.TrainWeights | None = None, loss: noise.Noise | Callable[[Any, Any], Any] | None = None,
            settings: Mapping[str, Any] | None = None, workdir: str | None = None,
            progress: bool = True) -> fitting.Restoration | list[fitting.Restoration]:
  """Restore one measurement, or a list of them, each from itself alone.

  Without a workdir all happens in memory: nothing is written, no setting of JAX is changed, no signal is handled.

  Args:
    measurement: [H, W] or [H, W, C], of any real type; its values are mapped to the unit range as those of a
      file are (8-bit: 0 to 255; other types: by the measurement, or by settings={"data.range": (low, high)}).
      For operators "mri" and "tomography" a dictionary of the arrays of a scan (kspace, coil_maps and perhaps sampling;
      sinogram, angles and shape). Of an operator of your own: what it measured, real or complex, of any shape.
      Or a list or tuple of these: those of equal shapes are one compiled batch.
    operator: what was measured: the name of an operator, or its settings such as {"name": "inpainting",
      "mask": array}; or an operator of `oes_jax.operators`; or any function of an image [H, W, C] in (0, 1) whose
      measurement has the shape of the image (else `operators.from_function(function, image_shape)`).
    truth: clean image, or a list of them; only ever scored.
    ensemble: number of restorations of every measurement; their mean is the image, their spread the uncertainty.
    seed: seed of all draws.
    generator: network of your own, of `generators.from_apply`, for images of the measurement's shape; None: the
      hourglass, or what the operator's preset says.
    mask: "auto", what the settings say (a learned mask, or dense where that serves the operator better); or a
      LearnMask; or a tree of 0 and 1 like the params; or None, which keeps every weight.
    weights: settings of the weight stage, with any optax optimiser; None: TrainWeights().
    loss: noise.Noise, or a function (predicted, measured) -> loss of every value; None: the squared error, or what
      settings={"noise.model": ...} says.
    settings: settings by their dotted names, such as {"weights.num_steps": 3000}, that differ from the operator's
      preset; `python -m oes_jax.main --help` lists them. Nothing is simulated unless {"operator.simulate": True} asks.
    workdir: folder to work in and to keep, with checkpoints, figures and logs: the same call goes on there after an
      interruption. It takes names, not objects of your own. None: in memory.
    progress: whether progress bars are drawn.

  Returns:
    A Restoration, or a list of them; images have the layout, type and range of their measurements (of an operator of
    your own: the unit range).

  Raises:
    ValueError: an argument is not allowed; the message names it.
    fitting.Diverged: the loss became NaN or infinite, in memory; it carries what the other images gave.
    runs.Failed, runs.Busy, runs.Interrupted: in a workdir: it cannot go on, another process works in it, or SIGTERM or
      SIGINT was received in the main thread; what was computed is kept.

  Example:
    >>> import numpy as np
    >>> import oes_jax
    >>> noisy = np.random.default_rng(0).random((32, 32), np.float32)
    >>> few = {"generator.num_scales": 1, "mask.num_steps": 2, "weights.num_steps": 2}
    >>> restored = oes_jax.restore(noisy, settings=few, progress=False)
    >>> restored.image.shape, restored.image.dtype
    ((32, 32), dtype('float32'))
  """
  several = isinstance(measurement, (list, tuple))
  arrays = list(measurement) if several else [measurement]
  truths = list(truth) if several and truth is not None else [truth] * len(arrays)
  if not arrays or len(truths) != len(arrays):
    raise ValueError(f"{len(arrays)} measurements and {len(truths)} truths were given; allowed: one measurement or "
                     "more, and as many truths or None.")
  told = {"ensemble": ensemble, "seed": seed, **(settings or {})}
  if workdir is None:
    restored = _restore_in_memory(arrays, truths, operator, told, generator=generator, mask=mask, weights=weights, loss=loss,
                                  progress=progress)
  else:
    own = {"operator": None if isinstance(operator, (str, Mapping)) else operator, "generator": generator,
           "mask": None if isinstance(mask, str) else mask, "weights": weights, "loss": loss}
    for name, value in own.items():
      if value is not None or name == "mask" and mask is None:
        raise ValueError(f"{name} is an object of your own, which a workdir cannot keep; allowed: workdir=None, or names and "
                         "settings.")
    restored = _restore_in_folder(arrays, truths, operator, told, pathlib.Path(workdir).expanduser(), several)
  return restored if several else restored[0]
