"""The mask of a finished run becomes a shipped mask."""

import json
import pathlib

from oes_jax.bench import _flags
from oes_jax import files
from oes_jax import generators


def run_bundle(arguments) -> None:
  """Write the mask that a finished run learned as a shipped mask.

  Raises:
    ValueError: the mask was not learned, has collapsed, or belongs to other than the published widths.
    OSError: there is no such run.
  """
  folder = pathlib.Path(arguments.run)
  summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
  mask, metadata = files.load_mask(folder / "mask")
  spec, config = metadata["generator"], summary["config"]
  published = generators.make_generator(
      spec["name"], image_shape=(512, 512, spec["image_channels"]), num_scales=spec["num_scales"])
  if metadata["source"] != "learn" or metadata["collapse"] or spec != published.spec:
    raise ValueError(f"the mask of {folder} cannot be shipped: its source is {metadata['source']!r}, "
                     f"its findings {metadata['collapse']}, its widths {spec['channels']}; allowed: a "
                     f"learned mask without findings, widths {published.spec['channels']}.")
  path = files.bundled_path(spec)
  path.parent.mkdir(exist_ok=True)
  files.write_atomically(path, files.pack_mask(mask, {
      "generator": spec, "source": config["data"]["source"], "crop": config["data"]["crop"],
      "sigma": summary["sigma"], "seed": config["seed"], "steps": config["mask"]["num_steps"],
      "mask": config["mask"], "versions": summary["versions"]}))
  print(f"written: {path}, {path.stat().st_size:,} bytes")


def add_command(commands) -> None:
  """Add the command `bundle` and its flags."""
  parser = _flags.add_parser(commands, "bundle", run_bundle,
                             "ship the mask of a finished run: write it into oes_jax/files/bundled_masks")
  parser.add_argument("run", help="folder of the run")
