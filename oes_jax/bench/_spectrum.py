"""What a mask alone makes of the network's random weights: the untrained image and its spectrum."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from oes_jax.bench import _flags
from oes_jax import files
from oes_jax import fitting
from oes_jax import masks
from oes_jax import metrics
from oes_jax import runs


def _as_tuples(value: Any) -> Any:
  """Undo what JSON makes of a config's tuples."""
  if isinstance(value, dict):
    return {name: _as_tuples(entry) for name, entry in value.items()}
  return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def read_job(run: pathlib.Path) -> runs.Job:
  """Return the job of a finished run, its files read again.

  Args:
    run: the run's folder.

  Raises:
    ValueError, OSError: the run is not finished or was cut into tiles, or its files have gone.
  """
  path = run / "summary.json"
  if not path.is_file():
    raise ValueError(f"{str(run)!r} holds no summary.json; allowed: the folder of a finished run.")
  summary = json.loads(path.read_text(encoding="utf-8"))
  if summary["tile"]:
    raise ValueError(f"{str(run)!r} is cut into tiles; allowed: one of its folders in tiles/, or an uncut run.")
  config = runs.make_config(preset="oes")
  config.update(_as_tuples(summary["config"]))
  return runs.inspect(config, str(run))


def radial_power_spectrum(image) -> tuple[np.ndarray, np.ndarray]:
  """Return (frequency, share of power) of an image over rings of spatial frequency.

  The mean is taken off and the channels' powers are added.

  Args:
    image: [H, W, C].

  Returns:
    The rings' middles, in cycles per pixel up to 0.5 (beyond it are only corners of the spectrum), and their
    shares of the power, which add up to 1; both [min(H, W) // 2]. A constant image has shares of 0.
  """
  image = np.asarray(image, np.float64)
  power = (np.abs(np.fft.fft2(image - image.mean((0, 1)), axes=(0, 1))) ** 2).sum(-1)
  radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
  count = min(image.shape[:2]) // 2
  edges = (np.arange(count + 1) + 0.5) / (2 * count)
  shares = np.histogram(radius, edges, weights=power)[0]
  return np.arange(1, count + 1) / (2 * count), shares / max(shares.sum(), np.finfo(float).tiny)


def _pictures(run: pathlib.Path) -> dict[str, np.ndarray]:
  """Return {name: picture [H, W, C]} of a finished run, the truth only where the run has one."""
  job = read_job(run)
  row = runs.make_row(job.generator, job.shape, False, job, operator=job.data.operator)
  mask = files.read_mask(str(run / "mask"), job.generator, row.params)
  untrained = lambda kept: masks.masked_output(
      job.generator, row.params, kept, row.problem.net_input)
  pictures = {"masked, untrained": untrained(mask),
              "dense, untrained": untrained(jax.tree.map(np.ones_like, mask)),
              "measurement": row.measurement.estimate}
  if row.truth is not None:
    pictures["truth"] = row.truth
  view = fitting.view_of(job.data.operator)
  pictures = {name: np.asarray(view(picture)) for name, picture in pictures.items()}
  return pictures | {f"restored ({job.settings.output.image})": np.load(run / "output.npy")}  # what is seen of it


def _score(name: str, pictures: dict[str, np.ndarray]) -> str:
  """Return the PSNR of a picture; "" for the truth, and where there is none."""
  if name == "truth" or "truth" not in pictures:
    return ""
  return f"{float(metrics.psnr(pictures[name], pictures['truth'])):.2f}"


def run_spectrum(arguments) -> None:
  """Write spectrum.csv and spectrum.png: share of power against frequency, beside the images.

  They are of the masked untrained network, the dense untrained one, the measurement, the truth where the
  run has one, and the restored image; magnitudes where the image is complex.
  """
  folder = pathlib.Path(arguments.folder)
  pictures = _pictures(pathlib.Path(arguments.run))
  spectra = {name: radial_power_spectrum(picture) for name, picture in pictures.items()}
  cells = [("image", "power below 0.1 cycles per pixel", "PSNR")]
  for name, (frequencies, shares) in spectra.items():
    cells.append((name, f"{100 * shares[frequencies < 0.1].sum():.1f} %", _score(name, pictures)))
  print(files.format_table(cells))
  files.write_csv(folder / "spectrum.csv", ("image", "cycles_per_pixel", "share_of_power"), [
      (name, f"{frequency:.6f}", f"{share:.6e}") for name, (frequencies, shares) in spectra.items()
      for frequency, share in zip(frequencies, shares)])
  files.save_spectra(folder / "spectrum.png", pictures, spectra)


def add_command(commands) -> None:
  """Add the command `spectrum` and its flags."""
  parser = _flags.add_parser(commands, "spectrum", run_spectrum,
                             "what a run's mask makes of the untrained network, and its power spectrum")
  parser.add_argument("--run", required=True, help="folder of a finished run")
  parser.add_argument("--folder", default="runs/bench_spectrum", help="where CSV and figure go")
