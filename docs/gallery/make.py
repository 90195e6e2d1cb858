"""Run the programs in docs/examples, and show what they made on docs/gallery.md: python docs/gallery/make.py [NAME...]

Each runs in a process and an empty folder of its own. Pictures and docs/gallery/made.json are of the programs named, of all without a
name; the page is written anew of that record.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import runpy
import subprocess
import sys
import tempfile

import jax
import numpy as np
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent
EXAMPLES = FOLDER.parent / "examples"
RECORD = FOLDER / "made.json"
HEIGHT, GAP = 160, 6

# Program: (title, its steps or None, what the panels show, their arrays by the program's own names).
SHOWN = {
    "denoise_my_file": ("Denoise a photograph", None, "noisy, restored", lambda made: [made["noisy"], made["restored"].image]),
    "denoise_a_stack": ("Denoise a stack", 200, "a noisy frame, restored, the original",
                        lambda made: [made["noisy"][0], made["stack"][0], 4000 * made["clean"][0]]),
    "inpaint_with_my_mask": ("Fill in lost pixels", None, "damaged, filled", lambda made: [made["image"], made["restored"].image]),
    "mri_from_k_space": ("MRI from k-space", None, "k-space of one coil, restored, the original",
                         lambda made: [_logarithm(made["scan"]["kspace"][0]), made["restored"].image, made["image"]]),
    "ct_from_a_sinogram": ("CT from a sinogram", 200, "sinogram, filtered back-projection, restored, the original",
                           lambda made: [made["sinogram"], made["back_projected"], made["restored"], made["clean"]]),
    "phase_retrieval": ("An operator of your own", 1000, "measured magnitudes, restored, the original",
                        lambda made: [_logarithm(made["measured"]), made["best"], made["clean"]]),
    "own_module": ("A network of your own", 300, "noisy, restored, the original",
                   lambda made: [made["noisy"], made["restored"].image, made["clean"]]),
    "own_loss_and_optimiser": ("A loss and an optimiser of your own", 200, "noisy, restored by the absolute error, the original",
                               lambda made: [made["noisy"], made["restored"].image, made["clean"]]),
    "images_and_seeds": ("Images and seeds on several devices", 100, "the last image: noisy, mean of two seeds, the original",
                         lambda made: [made["noisy"][-1], np.asarray(made["restored"].mean(1))[-1], made["clean"][-1]]),
    "save_and_load_mask": ("A mask of another image", 200, "noisy, restored with the other image's mask, the original",
                           lambda made: [made["second"], made["restored"].image, made["clean"][1]]),
    "density_sweep": ("A sweep over densities", 200, "PSNR against the step", lambda made: [Image.open("densities.png")]),
    "own_pruning_score": ("A pruning score of your own", 200, "noisy, restored with the learned mask, the original", lambda made: [
        made["noisy"], made["train"](made["mask"], jax.random.key(2)).image, made["clean"]]),
}


def _logarithm(values) -> np.ndarray:
  """Return log magnitudes, over four decades."""
  size = np.abs(np.asarray(values))
  return np.log10(size + 1e-4 * size.max())


def _as_picture(array) -> Image.Image:
  """Return one panel as an RGB picture of the gallery's height."""
  if not isinstance(array, Image.Image):
    array = np.asarray(array, np.float64)
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    low, high = (0, 255) if array.max() > 2 and array.ndim == 3 else (0, 1) if array.ndim == 3 else (array.min(), array.max())
    array = Image.fromarray(np.uint8(np.round(255 * np.clip((array - low) / (high - low), 0, 1))))
  picture = array.convert("RGB")
  how = Image.Resampling.LANCZOS if picture.height > HEIGHT else Image.Resampling.NEAREST
  return picture.resize((min(2 * HEIGHT, round(picture.width * HEIGHT / picture.height)), HEIGHT), how)


def _join(panels) -> Image.Image:
  """Return the panels beside each other on white."""
  pictures = [_as_picture(panel) for panel in panels]
  joined = Image.new("RGB", (sum(picture.width + GAP for picture in pictures) - GAP, HEIGHT), "white")
  left = 0
  for picture in pictures:
    joined.paste(picture, (left, 0))
    left += picture.width + GAP
  return joined


def show(name: str) -> None:
  """Run one program in this process and in the working folder, and save its panels."""
  _, steps, _, panels = SHOWN[name]
  sys.argv = [name] + ([] if steps is None else [str(steps)])
  made = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
  _join(panels(made)).save(FOLDER / f"{name}.jpg", quality=80, optimize=True)


def make(name: str) -> dict:
  """Run one program in a process of its own; return what is put on record of it.

  Raises:
    subprocess.CalledProcessError: the program failed.
  """
  environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(FOLDER.parents[1])}
  with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run([sys.executable, __file__, "--show", name], cwd=folder, env=environment, check=True,
                          stdout=subprocess.PIPE, text=True)
  return {"steps": SHOWN[name][1], "printed": done.stdout.strip().splitlines(),
          "date": datetime.date.today().isoformat(), "machine": f"{len(os.sched_getaffinity(0))} CPU cores, {platform.machine()}"}


def write_page(record: dict) -> str:
  """Return the gallery's page of the record."""
  lines = ["# Gallery", "",
           "What the programs in [examples](examples/denoise_my_file.py) made. Most take few steps here, so that all of them can be",
           "made anew (`python docs/gallery/make.py`, some minutes each where the machine is busy): how good a restoration is, is for the",
           "[results](results.md) to say.", ""]
  for name, (title, _, caption, _) in SHOWN.items():
    if name in record:
      entry = record[name]
      steps = "" if entry["steps"] is None else f"{entry['steps']:,} steps; "
      lines += [f"## {title}", "", f"![{caption}](gallery/{name}.jpg)", "",
                f"{caption[0].upper()}{caption[1:]}. [{name}.py](examples/{name}.py), {steps}{entry['date']}. It says:", "",
                "```text", *entry["printed"], "```", ""]
  return "\n".join(lines).rstrip() + "\n"


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOWN)}; default: all")
  parser.add_argument("--page", action="store_true", help="write the page alone, and run nothing")
  parser.add_argument("--show", choices=SHOWN, help=argparse.SUPPRESS)
  parsed = parser.parse_args()
  if parsed.show:
    show(parsed.show)
    return
  unknown = set(parsed.names) - set(SHOWN)
  if unknown:
    parser.error(f"no program {', '.join(sorted(unknown))}; allowed: {', '.join(SHOWN)}")
  record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
  for name in [] if parsed.page else parsed.names or SHOWN:
    print(name, flush=True)
    record[name] = make(name)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
  (FOLDER.parent / "gallery.md").write_text(write_page(record), encoding="utf-8")


if __name__ == "__main__":
  main()
