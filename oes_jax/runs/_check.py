"""Checks of a config, made before anything is compiled or written. Every message names the key and what is allowed."""

from typing import Any

from oes_jax import fitting
from oes_jax import operators
from oes_jax.runs import _build
from oes_jax.runs import _settings


def _check_operator(settings: _settings.Settings) -> None:
  """Raise a ValueError where a setting does not go with the operator: a file or a kind that it does not read, tiles, noise."""
  family, name = _build.family_of(settings), settings.operator.name
  if settings.compute.tile and not family.tileable:
    raise ValueError(f"compute.tile={settings.compute.tile} cuts an image that operator.name={name!r} "
                     "measures as a whole; allowed: None or 0.")
  if settings.noise.model != "gaussian" and not family.measures_image:
    raise ValueError(f"noise.model={settings.noise.model!r} is for images, which operator.name={name!r} does not "
                     "measure; allowed: gaussian.")
  for key in ("mask", "kernel"):
    value = getattr(settings.operator, key)
    if value != getattr(operators.OperatorSettings(), key) and family.file_setting != key:
      readers = ", ".join(one for one, known in operators.FAMILIES.items() if known.file_setting == key)
      raise ValueError(f"operator.{key}={value!r} is not used by operator.name={name!r}; allowed: operator.name={readers}.")


def _check_objective(fit: fitting.FitSettings) -> None:
  """Raise a ValueError where a setting of the objective recorrupted was changed and another one is asked for."""
  for key in ("sigma", "alpha", "split", "flips") if fit.objective == "plain" else ():
    value, default = getattr(fit, key), getattr(fitting.FitSettings(), key)
    if value != default:
      raise ValueError(f"fit.{key}={value} is not used by fit.objective='plain'; allowed: fit.objective='recorrupted', or {default}.")


def _check_method(settings: _settings.Settings) -> None:
  """Raise a ValueError where a setting does not go with the method: method auto tries masks and networks of its own."""
  if settings.experiment.method != "auto":
    if settings.experiment.budget_s is not None:
      raise ValueError(f"budget_s={settings.experiment.budget_s:g} is not used by method='network'; allowed: None, or method='auto'.")
    return
  found = {"fit.objective": (settings.fit.objective, "recorrupted"), "weights.combine": (settings.weights.combine, True),
           "mask.source": (settings.mask.source, "dense"), "output.image": (settings.output.image, "combined")}
  for key, (value, allowed) in found.items():
    if value != allowed:
      raise ValueError(f"{key}={value!r} does not go with method='auto', which tries networks and masks of its own; allowed: "
                       f"{key}={allowed!r}, as the preset `:quick` has it, or method='network'.")


def check_config(config, **given: Any) -> _settings.Settings:
  """Return the settings of a config; every value is checked, alone and beside the others.

  Args:
    config: config of every key.
    **given: fields of Settings that take the place of what the config says.

  Raises:
    ValueError: names the key, its value and what is allowed.
  """
  settings = _settings.read_settings(config)._replace(**given)
  if settings.weights.guard is None and settings.output.image == "guarded":
    raise ValueError("output.image='guarded' needs weights.guard; allowed: variance, held_out.")
  if settings.output.image == "combined" and not settings.weights.combine:
    raise ValueError("output.image='combined' needs weights.combine=True; allowed: that, or another output.image.")
  if settings.weights.combine and settings.fit.objective == "plain":
    raise ValueError("weights.combine=True needs the noise level, of which fit.objective='plain' knows nothing; allowed: "
                     "fit.objective='recorrupted', or weights.combine=False.")
  settings.fit.check_noise(settings.noise.model, "fit.")
  _check_objective(settings.fit)
  if settings.fit.sigma is not None and settings.noise.model != "gaussian":
    raise ValueError(f"fit.sigma={settings.fit.sigma} is not used by noise.model={settings.noise.model!r}, whose strength "
                     "noise.peak and noise.sigma say; allowed: None.")
  if settings.fit.objective == "recorrupted" and settings.fit.flips and settings.generator.input == "noise":
    raise ValueError("fit.flips=True turns what was measured, which generator.input='noise' does not feed; allowed: "
                     "fit.flips=False, or generator.input='measurement'.")
  if settings.fit.objective == "plain" and settings.generator.input == "measurement":
    raise ValueError("fit.objective='plain' with generator.input='measurement' learns to copy the noise; allowed: "
                     "fit.objective='recorrupted', or generator.input='noise' (the preset `:oes` has both).")
  if settings.generator.input == "measurement" and settings.generator.name == "deep_decoder":
    raise ValueError("generator.input='measurement' has the pixels of the image, which generator.name='deep_decoder' does not "
                     "take; allowed: generator.input='noise', or generator.name='skip_hourglass'.")
  _check_operator(settings)
  _check_method(settings)
  if settings.mask.source in ("learn", "imp", "imp_oracle") and settings.learn.keep_fraction == 1:
    raise ValueError("mask.keep_fraction=1.0 leaves nothing to learn or prune; allowed: mask.source='dense', "
                     "or a fraction below 1.")
  return settings
