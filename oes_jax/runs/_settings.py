"""The sections of a config, with what a run needs beyond the settings of the library."""

import dataclasses
import numbers
import re
from typing import NamedTuple

from oes_jax import fitting
from oes_jax import generators
from oes_jax import masks
from oes_jax import noise
from oes_jax import operators
from oes_jax import settings

# Values of mask.source that read mask.path.
READ_A_FILE = ("file", "shuffled")
_MASK_SOURCES = (*masks.SCORED, "bundled", "file", "dense", "shuffled")


@dataclasses.dataclass(frozen=True)
class ExperimentSettings(settings.Settings):
  """Settings of a run as a whole: the keys outside all sections."""
  experiment: str = settings.setting(
      "default", "Name of the experiment; the default workdir is runs/<experiment>-<hash of the config>.",
      allowed="letters, digits, '_', '-' and '.', up to 100, as it names a folder",
      test=lambda v: re.fullmatch(r"[\w-][\w.-]{0,99}", v) is not None)
  seed: int = settings.setting(
      0, "Seed of every draw: noise, initial params, network input, gates, random mask.",
      allowed="a whole number from 0 to 2^31 - 1", test=lambda v: 0 <= v < 2 ** 31)
  ensemble: int = settings.setting(
      1, "Restorations of every measurement, with a seed each (own initial params, network input, gates); their mean "
      "is the result, and their spread the uncertainty map. 1: none.", allowed="a whole number from 1 to 1000",
      test=lambda v: 1 <= v <= 1000)
  method: str = settings.setting(
      "network", "What restores: network, the one that the other keys say; or auto: several networks and classical methods "
      "restore the same measurement, and values that none of them has seen say what share each has in the result.",
      choices=("network", "auto"))
  budget_s: float | None = settings.setting(
      None, "Seconds, about, that method auto may take: what does not fit in is left out. None: nothing is.", kind=float,
      allowed="a number above 0, or None", test=lambda v: 0 < v < float("inf"))


@dataclasses.dataclass(frozen=True)
class DataSettings(settings.Settings):
  """Settings of what is read."""
  source: str = settings.setting(
      "astronaut", "What is restored. A bundled image by name: one of scikit-image's (astronaut, brick, camera, cell, "
      "chelsea, coffee, coins, grass, gravel, hubble_deep_field, immunohistochemistry, microaneurysms, moon, page, "
      "retina, rocket, text), a crop of one (astronaut_face, 160 x 160; astronaut_face_128) or one of pydicom's "
      "(ct_slice, mr_slice). Or a path: PNG, JPEG, TIFF, NPY, DICOM, FITS, or a scan in NPZ, HDF5 or MAT. Many images: a "
      "folder, a glob, a file of several (FILE@1 is one page, HDU or slice of it), names or paths with commas between, or "
      "tfds:NAME#SPLIT (a prepared TensorFlow Datasets data set).",
      allowed="a name or a path", test=lambda v: v.strip() != "")
  truth: str | None = settings.setting(
      None, "Path or bundled name of the clean image; only ever scored. None: the bundled original, where noise was "
      "simulated; else no truth.", kind=str)
  crop: tuple[int, int, int, int] | None = settings.setting(
      None, "(top, left, height, width) in pixels to restore. None: the whole image.", kind=tuple,
      allowed="(top, left, height, width), whole numbers, or None",
      test=lambda v: len(v) == 4 and all(isinstance(entry, numbers.Integral) for entry in v))
  max_side: int | None = settings.setting(
      None, "Longest side in pixels: a larger image is scaled down, after the crop. None: no limit.", kind=int,
      allowed="16 pixels or more, or None for no limit", test=lambda v: v >= 16)
  channel_axis: int = settings.setting(
      -1, "Axis of the channels of an .npy file, or an array, of an image: -1, or 0 where they go first.", allowed="-1 or 0",
      test=lambda v: v in (-1, 0))
  range: tuple[float, float] | None = settings.setting(
      None, "(low, high) values of the file that map to 0 and 1. None: 8-bit data the range of the type, other data a "
      "robust range of the measurement.", kind=tuple, allowed="(low, high), or None",
      test=lambda v: len(v) == 2 and all(isinstance(entry, numbers.Real) for entry in v))


@dataclasses.dataclass(frozen=True)
class MaskSettings(settings.Settings):
  """Settings of where a mask comes from, beside those of fitting.LearnMask."""
  source: str = settings.setting(
      "learn", "Where the mask comes from: learn (OES, stage 1), bundled (a shipped mask, no mask stage), file "
      "(mask.path), dense (keep all: a deep image prior), random, shuffled (mask.path, permuted inside every array), a "
      "criterion for pruning at initialisation (magnitude, snip, grasp, synflow), imp (iterative magnitude pruning: "
      "train, prune, rewind to the initial weights, again), or imp_oracle (imp on the clean image: a control).",
      choices=_MASK_SOURCES)
  path: str | None = settings.setting(
      None, "For sources file and shuffled: the mask/ folder of another run, or a mask pickle of the authors.",
      kind=str)
  rounds: int = settings.setting(
      10, "Rounds of imp. Each keeps the same share of the weights that may be pruned and the one before kept.",
      allowed="a whole number from 1 to 100", test=lambda v: 1 <= v <= 100)
  round_steps: int | None = settings.setting(
      None, "Weight steps of every round. None: weights.num_steps.", kind=int,
      allowed="1 or more, or None for weights.num_steps", test=lambda v: v >= 1)

  def check(self, prefix: str = "") -> None:
    """Check every setting, and that a path is given where one is read; messages name them after the prefix."""
    super().check(prefix)
    if self.source not in READ_A_FILE and self.path is not None:
      raise ValueError(f"{prefix}path={self.path!r} is not used by {prefix}source={self.source!r}; allowed: "
                       f"{prefix}source='file' or 'shuffled'.")
    if self.source in READ_A_FILE and self.path is None:
      raise ValueError(f"{prefix}source={self.source!r} needs {prefix}path: the mask/ folder of another run, or a mask "
                       "pickle of the authors of OES.")


@dataclasses.dataclass(frozen=True)
class SweepSettings(settings.Settings):
  """Settings of a sweep: values to cross with every image, each a tuple; () leaves the key as it is."""
  seeds: tuple[int, ...] = settings.setting((), "Values of seed to cross with every image; (): seed alone.")
  sigmas: tuple[float, ...] = settings.setting(
      (), "Values of noise.sigma to cross with every image; (): noise.sigma alone.")
  mask_sources: tuple[str, ...] = settings.setting(
      (), "Values of mask.source to cross with every image; (): mask.source alone.")
  keep_fractions: tuple[float, ...] = settings.setting(
      (), "Values of mask.keep_fraction to cross with every image; (): mask.keep_fraction alone.")
  kl_weights: tuple[float, ...] = settings.setting(
      (), "Values of mask.kl_weight to cross with every image; (): mask.kl_weight alone.")


@dataclasses.dataclass(frozen=True)
class OutputSettings(settings.Settings):
  """Settings of what is written."""
  image: str = settings.setting(
      "average", "Which image is the result: average (of the outputs), last (the last step's output) [OES], guarded "
      "(weights.guard's choice), or combined (of weights.combine).", choices=("average", "last", "guarded", "combined"))
  figures: bool = settings.setting(
      True, "Whether before_after.png, curves.png, mask.png, uncertainty.png and report.html are made: two to three seconds "
      "a case.")


@dataclasses.dataclass(frozen=True)
class CheckpointSettings(settings.Settings):
  """Settings of the checkpoints."""
  every_steps: int = settings.setting(
      500, "Steps between checkpoints; one is also written at each stage's end and on a signal.",
      allowed="1 or more", test=lambda v: v >= 1)


@dataclasses.dataclass(frozen=True)
class ComputeSettings(settings.Settings):
  """Settings of how it is computed."""
  conv: str = settings.setting(
      "auto", "Form of the convolutions: gemm, lax (lax.conv) or auto (by backend).",
      choices=("auto", *generators.CONVOLUTIONS))
  precision: str = settings.setting(
      "default", "Matrix product precision: default, high or highest. On GPU and TPU the default is TF32 or bfloat16; "
      "on CPU all are float32.", choices=("default", "high", "highest"))
  dtype: str = settings.setting(
      "float32", "Type of the factors and products of every convolution: float32, bfloat16 (for GPU "
      "and TPU; not measured there) or auto (by backend). Weights, norms and the image stay float32.",
      choices=("auto", "float32", "bfloat16"))
  tile: int | None = settings.setting(
      None, "Largest side of a tile, in pixels. None: the whole image where its memory suffices, else the largest "
      "tiles that fit. 0: never cut.", kind=int, allowed="64 pixels or more, 0 for never, or None for automatic",
      test=lambda v: v == 0 or v >= 64)
  tile_overlap: int = settings.setting(
      32, "Overlap of neighbouring tiles, over which they are blended, in pixels.", allowed="0 to 128 pixels",
      test=lambda v: 0 <= v <= 128)
  compaction: bool = settings.setting(
      True, "Whether the weight stage drops the channels that the mask leaves unable to act: exact, and several times "
      "less work at 5 %.")
  chunk_steps: int | None = settings.setting(
      None, "Steps of one compiled chunk. None: about one to two seconds of them on the backend.", kind=int,
      allowed="1 or more, or None for automatic", test=lambda v: v >= 1)
  images_per_device: int | None = settings.setting(
      None, "Images that a device restores at once. None: by backend and free memory.", kind=int,
      allowed="1 or more, or None for automatic", test=lambda v: v >= 1)
  compilation_cache: str = settings.setting(
      "~/.cache/oes_jax", "Folder of JAX's persistent compilation cache; \"\" or None turns it off.", optional=True)

  def check(self, prefix: str = "") -> None:
    """Check every setting, and that tiles are larger than their overlap; messages name them after the prefix."""
    super().check(prefix)
    if self.tile and self.tile_overlap > self.tile // 2:
      raise ValueError(f"{prefix}tile_overlap={self.tile_overlap} is not allowed; allowed: at most half of "
                       f"{prefix}tile={self.tile}.")


# Section of a config: the settings whose keys it holds. "" is the config itself.
SECTIONS = {
    "": (ExperimentSettings,),
    "data": (DataSettings,),
    "operator": (operators.OperatorSettings,),
    "noise": (noise.NoiseSettings,),
    "generator": (generators.GeneratorSettings,),
    "fit": (fitting.FitSettings,),
    "mask": (MaskSettings, fitting.LearnMask),
    "weights": (fitting.TrainWeights,),
    "sweep": (SweepSettings,),
    "output": (OutputSettings,),
    "checkpoint": (CheckpointSettings,),
    "compute": (ComputeSettings,),
}


class Settings(NamedTuple):
  """All settings of a config, section by section: what every room but this one reads."""
  experiment: ExperimentSettings
  data: DataSettings
  operator: operators.OperatorSettings
  noise: noise.NoiseSettings
  generator: generators.GeneratorSettings
  fit: fitting.FitSettings
  mask: MaskSettings
  learn: fitting.LearnMask
  weights: fitting.TrainWeights
  sweep: SweepSettings
  output: OutputSettings
  checkpoint: CheckpointSettings
  compute: ComputeSettings


def _check_keys(config) -> None:
  """Raise a ValueError where a config has not just the sections and keys that there are."""
  from ml_collections import config_dict  # configs alone need it  # pylint: disable=import-outside-toplevel
  for section, kinds in {"": SECTIONS[""], **SECTIONS}.items():
    found = config[section] if section else config
    if not isinstance(found, config_dict.ConfigDict):
      raise ValueError(f"{section or 'the config'} is {_brief(found)}; allowed: a ConfigDict of every key, as "
                       "oes_jax.runs.make_config returns one.")
    keys = {field.name for kind in kinds for field in settings.fields_of(kind)} | (set() if section else set(SECTIONS) - {""})
    for key in sorted(map(str, keys ^ set(found))):
      dotted = f"{section}.{key}".lstrip(".")
      if key in keys:
        raise ValueError(f"the config has no {dotted}; allowed: every key, as oes_jax.runs.make_config makes them.")
      raise ValueError(f"{dotted!r} is no key of a config{settings.nearest(key, keys)}. --help lists every key.")


def _brief(value: object) -> str:
  return f"a {type(value).__name__}" if value is not None else "None"


def read_settings(config) -> Settings:
  """Return the settings of a config, each checked alone.

  Raises:
    ValueError: names the key, its value and what is allowed; or the config has no such section or key, or another one.
  """
  _check_keys(config)
  return Settings(*(kind.from_section(config[section] if section else config, f"{section}." if section else "")
                    for section, kinds in SECTIONS.items() for kind in kinds))
