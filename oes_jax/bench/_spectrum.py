"""What a mask alone makes of the network's random weights: the untrained image and its spectrum."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from configs import default
from oes_jax import files
from oes_jax import fitting
from oes_jax import metrics
from oes_jax import runs


def _as_tuples(value: Any) -> Any:
  """Undo what JSON makes of a config's tuples."""
  if isinstance(value, dict):
    return {name: _as_tuples(entry) for name, entry in value.items()}
  return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def read_job(run: pathlib.Path) -> runs.Job:
  """Return the job of a finished run, its files read again.

  Raises:
    ValueError, OSError: it is not finished, was cut into tiles, or its files have gone.
  """
  path = run / "summary.json"
  if not path.is_file():
    raise ValueError(f"{str(run)!r} holds no summary.json; allowed: the folder of a finished run.")
  summary = json.loads(path.read_text(encoding="utf-8"))
  if summary["tile"]:
    raise ValueError(f"{str(run)!r} is cut into tiles; allowed: one of its folders in tiles/, or an uncut run.")
  config = default.get_config()
  config.update(_as_tuples(summary["config"]))
  return runs.inspect(config, str(run))


def run_spectrum(arguments) -> None:
  """Write spectrum.csv and spectrum.png: share of power against frequency, beside the images.

  They are of the masked untrained network, the dense untrained one, the measurement, the truth where the
  run has one, and the restored image; magnitudes where the image is complex.
  """
  run, folder = pathlib.Path(arguments.run), pathlib.Path(arguments.folder)
  job = read_job(run)
  image = runs.make_member(job.generator, job.shape, False, job, job)
  mask = files.read_mask(str(run / "mask"), job.generator, image.params)
  untrained = lambda kept: fitting.masked_output(
      job.generator, image.params, kept, image.problem.net_input)
  pictures = {"masked, untrained": untrained(mask),
              "dense, untrained": untrained(jax.tree.map(np.ones_like, mask)),
              "measurement": image.measured.estimate}
  if image.truth is not None:
    pictures["truth"] = image.truth
  pictures = {name: np.asarray(runs.to_view(job.config, picture)) for name, picture in pictures.items()}
  pictures[f"restored ({job.config.output.image})"] = np.load(run / "output.npy")  # what is seen of it
  spectra = {name: metrics.radial_power_spectrum(picture) for name, picture in pictures.items()}
  rows = [(name, f"{frequency:.6f}", f"{share:.6e}")
          for name, (frequencies, shares) in spectra.items()
          for frequency, share in zip(frequencies, shares)]
  low = {name: shares[frequencies < 0.1].sum() for name, (frequencies, shares) in spectra.items()}
  cells = [("image", "power below 0.1 cycles per pixel", "PSNR")]
  for name, picture in pictures.items():
    score = "" if name == "truth" or "truth" not in pictures else f"{float(metrics.psnr(picture, pictures['truth'])):.2f}"
    cells.append((name, f"{100 * low[name]:.1f} %", score))
  print(files.format_table(cells))
  files.write_csv(folder / "spectrum.csv", ("image", "cycles_per_pixel", "share_of_power"), rows)
  files.save_spectra(folder / "spectrum.png", pictures, spectra)
