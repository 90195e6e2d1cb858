"""Benchmarks: python -m oes_jax.bench COMMAND; see --help."""

import argparse
import pathlib
import sys

from oes_jax.bench import _analyses
from oes_jax.bench import _batch
from oes_jax.bench import _compare
from oes_jax.bench import _inverse
from oes_jax.bench import _masks
from oes_jax.bench import _quality
from oes_jax.bench import _records
from oes_jax.bench import _spectrum
from oes_jax.bench import _steps
from oes_jax.bench import _transfer
from oes_jax import files
from oes_jax import runs


def _fill_pages(arguments) -> None:
  for path in map(pathlib.Path, arguments.file):
    text = _records.fill_tables(path.read_text(encoding="utf-8"), pathlib.Path(arguments.records))
    files.write_atomically(path, text.encode())


def _positive(text: str) -> int:
  if not (text.isdecimal() and int(text) > 0):
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: a whole number above 0")
  return int(text)


def _add(commands, name: str, function, text: str, *, folder: bool = False, seeds: int = 0):
  parser = commands.add_parser(name, help=text, description=text)
  parser.set_defaults(function=function)
  if folder:
    parser.add_argument("--folder", default=f"runs/bench_{name}", help="where the restorations run")
    parser.add_argument("--output", default=f"runs/bench_{name}.json", help="JSON record")
  if seeds:
    parser.add_argument("--seeds", type=_positive, default=seeds, metavar="N",
                        help=f"seeds 0 to N - 1 (default {seeds})")
  return parser


def main() -> None:
  """Parse the command line and run one benchmark."""
  parser = argparse.ArgumentParser(prog="python -m oes_jax.bench", description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="command")
  step = _add(commands, "step", _steps.run_step,
              "time the steps against a dense PyTorch step (needs the extra `bench`)")
  step.add_argument("--size", type=int, nargs="+", default=[256, 512], help="image sides, pixels")
  step.add_argument("--rounds", type=int, default=9, help="rounds of each, in turn")
  step.add_argument("--length", type=int, default=4, help="steps of a round")
  step.add_argument("--conv", choices=("gemm", "lax"), default="gemm")
  step.add_argument("--output", default="runs/bench_step.json", help="JSON record")
  step.add_argument("--mask", help="also time the weight stage compacted by this mask")
  compact = _add(commands, "compaction", _steps.run_compaction,
                 "say what a mask leaves of the hourglass")
  compact.add_argument("--mask", required=True, help="a run's mask/ folder or an authors' pickle")
  compact.add_argument("--size", type=int, default=512, help="image side, pixels")
  compact.add_argument("--num_scales", type=int, default=6)
  _add(commands, "schedule", _quality.run_schedule, folder=True, seeds=2,
       text="compare the default mask schedule with one of ten times the steps, 64x64")
  _add(commands, "masks", _quality.run_masks, folder=True, seeds=2,
       text="compare the shipped mask with learned, random and no masks, 128x128")
  bundle = _add(commands, "bundle", _quality.run_bundle,
                "ship the mask of a finished run: write it into oes_jax/bundled_masks")
  bundle.add_argument("run", help="folder of the run")
  quality = _add(commands, "time_to_quality", _quality.run_time_to_quality, folder=True,
                 text="seconds and PSNR of the default and of the authors' schedule, 128x128")
  quality.add_argument("--faithful_record", help="a kept record of the authors' schedule; without "
                       "it the schedule runs, for hours, and resumes where it was stopped")
  for name, function, text in (
      ("compare", _compare.run_compare,
       "compare the learned mask with other masks, narrow nets and classical denoisers"),
      ("transfer", _transfer.run_transfer, "restore with the masks of other images and corruptions"),
      ("sparsity", _analyses.run_sparsity, "PSNR against density, collapse marked"),
      ("limits", _analyses.run_limits, "PSNR against the noise level, photographs and textures"),
      ("inverse", _inverse.run_inverse, "restore through operators, against classical methods"),
      ("noise", _analyses.run_noise, "how fast networks fit noise alone")):
    quality = _add(commands, name, function, text)
    quality.add_argument("--config", default="configs/benchmark.py:quick", metavar="FILE:PRESET")
    quality.add_argument("--folder", help=f"where the restorations run; default: runs/<experiment>/{name}")
    quality.add_argument("--output", help=f"JSON record; default: runs/<experiment>/{name}.json")
  for name, function, text in (
      ("density", _masks.run_density, "density of masks per layer, encoder against decoder"),
      ("overlap", _masks.run_overlap, "IoU of masks, and of independent ones of their densities")):
    analysis = _add(commands, name, function, text)
    analysis.add_argument("--mask", required=True, nargs="+", help="runs' mask/ folders, authors' pickles")
    analysis.add_argument("--num_scales", type=_positive, default=6, help="of the authors' pickles")
    analysis.add_argument("--folder", default=f"runs/bench_{name}", help="where CSV and figure go")
  spectrum = _add(commands, "spectrum", _spectrum.run_spectrum,
                  "what a run's mask makes of the untrained network, and its power spectrum")
  spectrum.add_argument("--run", required=True, help="folder of a finished run")
  spectrum.add_argument("--folder", default="runs/bench_spectrum", help="where CSV and figure go")
  pages = _add(commands, "readme", _fill_pages, "put the recorded tables into the README and docs/results.md")
  pages.add_argument("--file", nargs="+", default=["README.md", "docs/results.md"])
  pages.add_argument("--records", default="docs/records")
  batch = _add(commands, "batch", _batch.run_batch, folder=True,
               text="time many restorations together against one alone, compilation apart")
  batch.add_argument("--size", type=_positive, default=96, help="longer side of the image, pixels")
  batch.add_argument("--cases", type=_positive, default=8, help="restorations together")
  batch.add_argument("--width", type=_positive, nargs="+", default=[1, 4, 8],
                     help="how many of them a device restores at once")
  batch.add_argument("--mask_steps", type=_positive, default=200)
  batch.add_argument("--weight_steps", type=_positive, default=600)
  batch.add_argument("--rounds", type=_positive, default=1, help="times that all is repeated")
  arguments = parser.parse_args()
  try:
    arguments.function(arguments)
  except (ValueError, OSError, runs.Failed, runs.Busy, runs.Interrupted) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  main()
