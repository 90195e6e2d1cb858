"""The one-line call: arrays in, arrays out."""

import functools
import pathlib
from typing import Any, Callable, Iterable, Mapping, Sequence

import numpy as np

from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators
from oes_jax import runs
from oes_jax import sweeps

Measurement = np.ndarray | Mapping[str, np.ndarray]
# Settings that an argument gives.
_ARGUMENTS = {"data.source": "measurement", "data.truth": "truth"}
# Settings in whose place an object of the caller's comes.
_REPLACED = {"operator": ("operator.",), "generator": ("generator.", "compute.tile"), "mask": ("mask.",),
             "weights": ("weights.",)}
_NOT_REPLACED = ("operator.simulate", "generator.input")
_ARRAYS = ("operator.mask", "operator.kernel")  # settings that may be arrays


def _set(config, key: str, value: Any) -> None:
  """Set one key of a config by its dotted name; raise a ValueError where the value has another type."""
  if isinstance(value, list):
    value = tuple(value)
  elif isinstance(value, pathlib.PurePath):
    value = str(value)
  try:
    config.update_from_flattened_dict({key: value.item() if isinstance(value, np.generic) else value})
  except (TypeError, OverflowError) as error:
    raise ValueError(f"{key}={value!r} is a {type(value).__name__}; allowed: {runs.allowed_values(key)}.") from error


def config_of_call(operator: str | Mapping[str, Any], told: Mapping[str, Any], objects: Iterable[str] = ()):
  """Return (config, {setting of the operator: array}) of a call; `objects` names the objects that are given."""
  chosen = {"name": operator} if isinstance(operator, str) else dict(operator)
  if "name" not in chosen:
    raise ValueError(f"operator has {', '.join(map(repr, chosen)) or 'nothing'}; allowed: 'name', and other keys of it.")
  asked = {} if operator == "identity" else {f"operator.{key}": value for key, value in chosen.items()}
  changes = {"operator.name": "identity"} | runs.merge_told(asked, told)
  config = runs.make_config(str(changes["operator.name"]), runs.preset_of(changes, objects), experiment="call",
                            **{"operator.simulate": False})
  if not changes.get("operator.simulate"):
    config.update_from_flattened_dict({"noise.sigma": None})  # of what is simulated
  arrays = {}
  for key, value in changes.items():
    if key in _ARGUMENTS:
      raise ValueError(f"{key!r} is what the argument {_ARGUMENTS[key]} gives; allowed in settings: every other key.")
    runs.check_key(key)
    if key in _ARRAYS and isinstance(value, (tuple, list)):
      value = runs.as_array(value, key)
    if not isinstance(value, (tuple, list)) and np.ndim(value) > 0:
      if key not in _ARRAYS:
        raise ValueError(f"{key} is an array; allowed: arrays of operator.mask and operator.kernel alone.")
      arrays[key.rpartition(".")[2]] = runs.as_array(value, key)
    else:
      _set(config, key, value)
  return config, arrays


def _is_named(operator: Any) -> bool:
  """Whether an operator is given by its name.

  Raises:
    ValueError: it is neither a name nor an operator nor a function.
  """
  if isinstance(operator, (str, Mapping)):
    return True
  if not (isinstance(operator, operators.ForwardOperator) or callable(operator)):
    raise ValueError(f"operator is a {type(operator).__name__}; allowed: a name, a dictionary with a name, an operator of "
                     "oes_jax.operators, or a function image -> measurement.")
  return False


@functools.lru_cache(maxsize=64)  # a function of the caller's is looked at once a shape
def _from_function(function: Callable[[Any], Any], shape: tuple[int, ...]) -> operators.ForwardOperator:
  return operators.from_function(function, shape)


def _own_operator(operator: Any, measurement: Any, place: str) -> operators.ForwardOperator:
  """Return the operator that was given as an object or a function."""
  if isinstance(operator, operators.ForwardOperator):
    return operator
  shape = runs.as_array(measurement, f"measurement{place}", kinds="biufc").shape
  if len(shape) not in (2, 3):
    raise ValueError(f"operator is a function, and measurement{place} has shape {shape}, which does not tell that of the "
                     "image; allowed: operators.from_function(function, (H, W, C)).")
  return _from_function(operator, shape if len(shape) == 3 else (*shape, 1))


def _check_settings(told: Any, objects: Mapping[str, Any]) -> None:
  """Raise a ValueError where settings are none, or an object takes the place of one."""
  if not isinstance(told, Mapping) or not all(isinstance(key, str) for key in told):
    raise ValueError(f"settings is a {type(told).__name__}, or not all of its keys are strings; allowed: a dictionary such as "
                     "{'weights.num_steps': 3000}.")
  for name in objects:
    both = [key for key in told if str(key).startswith(_REPLACED.get(name, ())) and key not in _NOT_REPLACED]
    if both:
      raise ValueError(f"{name} takes the place of {both[0]!r} in settings; allowed: one of the two.")


def _objects(operator: Any, generator: Any, mask: Any, weights: Any, loss: Any) -> dict[str, Any]:
  """Return those arguments by name that are objects of the caller's.

  Raises:
    ValueError: one is of another kind.
  """
  if isinstance(mask, str) and mask != "auto":
    raise ValueError(f"mask={mask!r} is unknown; allowed: 'auto', a LearnMask, a tree of 0 and 1, or None; and "
                     "settings={'mask.source': ...}.")
  if weights is not None and not isinstance(weights, fitting.TrainWeights):
    raise ValueError(f"weights is a {type(weights).__name__}; allowed: TrainWeights(...), or None.")
  found = {} if _is_named(operator) else {"operator": operator}
  found |= {} if isinstance(mask, str) else {"mask": mask}
  return found | {name: value for name, value in (("generator", generator), ("weights", weights), ("loss", loss))
                  if value is not None}


def _restore_in_memory(arrays, truths, named, told, objects: Mapping[str, Any], places: Sequence[str], **shown):
  """Restore a list of measurements in memory; `named` is the operator that has a name, `shown` is progress and callback."""
  for key in ("data.crop", "data.max_side"):
    if told.get(key) is not None:
      raise ValueError(f"{key}={told[key]!r} is for files; allowed without a workdir: None, a part of the measurement.")
  config, given = config_of_call(named, told, objects)
  replaced = {"weights": objects["weights"]} if "weights" in objects else {}
  if replaced and "output.image" not in told:
    _set(config, "output.image", runs.output_of(objects["weights"]))
  mask = objects.get("mask")
  if isinstance(mask, fitting.LearnMask):
    replaced |= {"learn": mask, "mask": runs.MaskSettings(source="learn")}
  elif "mask" in objects:
    replaced["mask"] = runs.MaskSettings(source="dense")
  settings = runs.check_config(config, **replaced)
  jobs = []
  for array, clean, place in zip(arrays, truths, places):
    own = _own_operator(objects["operator"], array, place) if "operator" in objects else None
    jobs.append(runs.job_of_arrays(settings, runs.Given(
        array, clean, given, own, objects.get("generator"), objects.get("loss"), place)))
  return runs.restore_in_memory(jobs, mask=None if isinstance(mask, fitting.LearnMask) else mask, **shown)


def _restore_in_folder(arrays, truths, operator, told, folder: pathlib.Path, places: Sequence[str]):
  """Restore a list of measurements, each in a folder of its own where they have places."""
  restored = []
  with runs.Signals() as signals:
    for number, (array, clean, place) in enumerate(zip(arrays, truths, places)):
      base = folder / f"{number:04d}" if place else folder
      config, given = config_of_call(operator, told)
      written = {sweeps.write_array(base, name, plane): f"operator.{name}" for name, plane in given.items()}
      config.update_from_flattened_dict({key: path for path, key in written.items()})
      for key, name, value in (("data.source", "measurement", array), ("data.truth", "truth", clean)):
        if value is not None:
          path = sweeps.write_array(base, name, value, f"{name}{place}")
          written[path] = f"{name}{place}"
          _set(config, key, path)
      restored.append(sweeps.restore_in_folder(config, base, signals, written))
  return restored


def restore(measurement: Measurement | Sequence[Measurement], *,
            operator: str | Mapping[str, Any] | operators.ForwardOperator | Callable[[Any], Any] = "identity",
            truth: np.ndarray | Sequence[np.ndarray] | None = None, ensemble: int | None = None,
            seed: int | None = None, method: str | None = None, generator: generators.Generator | None = None, mask: Any = "auto",
            weights: fitting.TrainWeights | None = None, loss: noise.Noise | Callable[[Any, Any], Any] | None = None,
            settings: Mapping[str, Any] | None = None, workdir: str | None = None,
            progress: bool = True, callback: Callable[[runs.Update], Any] | None = None,
            ) -> fitting.Restoration | list[fitting.Restoration]:
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
    ensemble: number of restorations of every measurement; their mean is the image, their spread the uncertainty. None: 1.
    seed: seed of all draws. None: 0.
    method: "network", or "auto": several networks and classical methods, mixed as held-out values say; settings={"budget_s":
      60.0} bounds what is tried. None: "network".
    generator: network of your own, of `generators.from_apply`, for images of the measurement's shape.
    mask: "auto", what the settings say (a learned mask, or dense where that serves the operator better); or a
      LearnMask; or a tree of 0 and 1 like the params; or None, which keeps every weight.
    weights: settings of the weight stage, with any optax optimiser; None: TrainWeights().
    loss: noise.Noise, or a function (predicted, measured) -> loss of every value; None: as settings={"noise.model": ...} says.
    settings: settings by their dotted names, such as {"weights.num_steps": 3000}, that differ from the operator's
      preset; `python -m oes_jax.main --help` lists them. Nothing is simulated unless {"operator.simulate": True} asks.
      An object of your own takes the place of its settings, which are then refused. The preset is quick, which fits the
      clean image, or oes with a generator or a loss of your own, an operator of your own without fit.sigma, or noise that cannot be
      drawn anew.
    workdir: folder to work in and to keep, with checkpoints, figures and logs: the same call goes on there after an
      interruption. It takes names, not objects of your own. None: in memory.
    progress: whether a bar is drawn, in a notebook a picture so far, and lines are printed in a workdir. False: only warnings.
    callback: function that takes a runs.Update every second or two: the image so far, the PSNR that is expected of it.

  Returns:
    A Restoration, or a list of them; images have the layout, type and range of their measurements (of an operator of
    your own: the unit range).

  Raises:
    ValueError: an argument is not allowed; the message names it.
    fitting.Diverged: the loss became NaN or infinite, in memory; it carries what the other images gave.
    runs.Failed, runs.Busy, runs.Interrupted: in a workdir: it cannot go on, another process works in it, or SIGINT,
      SIGTERM or SIGHUP was received in the main thread, as a KeyboardInterrupt; what was computed is kept.

  Example:
    >>> import numpy as np, oes_jax
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
  places = [f"[{number}]" if several else "" for number in range(len(arrays))]
  objects = _objects(operator, generator, mask, weights, loss)
  _check_settings({} if settings is None else settings, objects)
  given = {"ensemble": ensemble, "seed": seed, "method": method}
  told = runs.merge_told({name: value for name, value in given.items() if value is not None}, settings or {})
  runs.check_objects_of_method(told, objects)
  if workdir is None:
    named = "identity" if "operator" in objects else operator
    restored = _restore_in_memory(arrays, truths, named, told, objects, places, progress=progress, callback=callback)
  else:
    if objects or callback is not None:
      raise ValueError(f"{next(iter(objects), 'callback')} is an object of your own, which a workdir cannot keep; allowed: "
                       "workdir=None, or names and settings.")
    if not isinstance(workdir, (str, pathlib.PurePath)):
      raise ValueError(f"workdir is a {type(workdir).__name__}; allowed: the path of a folder, or None.")
    with runs.quietly(not progress):
      restored = _restore_in_folder(arrays, truths, operator, told, pathlib.Path(workdir).expanduser(), places)
  return restored if several else restored[0]
