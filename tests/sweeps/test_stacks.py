"""The pages of a TIFF file come back as a stack."""

import json

from astropy.io import fits
import numpy as np
import pytest
import tifffile
import tiny_sweep

from oes_jax import files
from oes_jax import fitting
from oes_jax.sweeps import _cases as cases_of
from oes_jax.sweeps import _results as results
from oes_jax.sweeps import _shared_range as shared_range
from oes_jax.sweeps import _stacks as stacks


def _stack_file(folder, pages=2):
  values = np.random.default_rng(0).integers(0, 2 ** 16, (pages, 24, 30), dtype=np.uint16)
  path = folder / "cells.tif"
  tifffile.imwrite(path, values, imagej=True, resolution=(5, 5), metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5})
  return path


@pytest.mark.slow
def test_a_sweep_over_a_stack_gives_a_stack(tmp_path):
  config = tiny_sweep.config(data__source=str(_stack_file(tmp_path)), data__crop=None, mask__source="dense",
                             weights__num_steps=2, output__figures=False)
  folder, complete = tiny_sweep.run(config, tmp_path / "run")
  stack, = (folder / "restored").glob("cells-stack-seed0-*.tif")
  pages = sorted((folder / "restored").glob("cells-page*.tif"))
  assert complete and len(pages) == 2
  with tifffile.TiffFile(stack) as file:
    np.testing.assert_array_equal(file.asarray(), np.stack([tifffile.imread(page) for page in pages]))
    assert file.series[0].axes == "ZYX" and file.imagej_metadata["spacing"] == 0.5 and file.pages[0].resolution == (5, 5)


def _sweep_of(folder, path, *cases):
  """Write the folder of a sweep that restored pages of a file, each (case, page, seed, failure)."""
  for name, page, seed, failure in cases:
    place = folder / "cases" / name
    place.mkdir(parents=True)
    tifffile.imwrite(place / "restored.tif", np.full((24, 30), page + 10 * seed, np.uint16))
    (place / "config.json").write_text(json.dumps({"inputs": {"source": files.digest_of_file(path)}}))
  (folder / "restored").mkdir()
  (folder / "results.jsonl").write_text("".join(json.dumps(files.seal({
      "case": name, "source": f"{path}@{page}", "seed": seed, "mask": "learn", "keep_fraction": 0.1, "kl_weight": None,
      "sigma": 0.0, "failure": failure, "psnr": {}, "ssim": {}, "kept": 1, "can_act": 1, "size": 2, "seconds": 1.0})) + "\n" for name, page, seed, failure in cases))


def test_pages_are_joined_in_their_order_and_by_their_setting(tmp_path):
  path = _stack_file(tmp_path)
  _sweep_of(tmp_path / "run", path, ("b", 1, 3, None), ("c", 0, 4, None), ("a", 0, 3, None), ("d", 1, 4, None))
  written = stacks.join_pages(tmp_path / "run")
  found = {path.name.split("-")[2]: tifffile.imread(path)[:, 0, 0].tolist() for path in written}
  assert found == {"seed3": [30, 31], "seed4": [40, 41]}


def test_a_stack_waits_for_all_of_its_pages(tmp_path):
  path = _stack_file(tmp_path)
  _sweep_of(tmp_path / "run", path, ("a", 0, 0, None), ("b", 1, 0, "the mask collapsed"), ("c", 0, 1, None))
  assert stacks.join_pages(tmp_path / "run") == []


def test_pages_of_what_the_file_held_earlier_are_not_joined(tmp_path):
  path = _stack_file(tmp_path)
  _sweep_of(tmp_path / "run", path, ("a", 0, 0, None), ("b", 1, 0, None))
  assert len(stacks.join_pages(tmp_path / "run")) == 1
  tifffile.imwrite(path, np.ones((2, 24, 30), np.uint16), imagej=True)
  assert stacks.join_pages(tmp_path / "run") == []


def test_pages_that_make_no_stack_are_warned_of(tmp_path, caplog):
  path = _stack_file(tmp_path)
  _sweep_of(tmp_path / "run", path, ("a", 0, 0, None), ("b", 1, 0, None))
  tifffile.imwrite(tmp_path / "run" / "cases" / "b" / "restored.tif", np.zeros((24, 31), np.uint16))
  assert stacks.join_pages(tmp_path / "run") == []
  assert "are not joined to a stack" in caplog.text and "(24, 31, 1)" in caplog.text


def test_the_stack_of_lines_is_found_again_by_its_name(tmp_path):
  path = _stack_file(tmp_path)
  _sweep_of(tmp_path / "run", path, ("b", 1, 0, None), ("a", 0, 0, None))
  written, = stacks.join_pages(tmp_path / "run")
  lines = results.read_results(tmp_path / "run")
  assert stacks.name_stacks(lines, lines) == [written.stem]
  means = {f"ensemble-{name}": {"case": f"ensemble-{name}", "source": line["source"], "failure": None, "members": 2, "psnr": {}}
           for name, line in lines.items()}
  of_members, of_means = stacks.name_stacks({**means, **lines}, {**means, **lines})[::-1]
  assert of_members == written.stem != of_means


def _shared(path, **changes):
  cases = cases_of.expand(tiny_sweep.config(data__source=str(path), data__crop=None, **changes))
  return [case.config.data.range for case in shared_range.share_ranges(cases)]


def test_pages_of_a_stack_share_one_range(tmp_path):
  rng = np.random.default_rng(0)
  dark, bright = (np.float32(level + rng.uniform(0, 100, (24, 30))) for level in (0, 900))
  pages = np.stack([dark, bright, np.full_like(dark, 5)])  # the last one alone has no range
  tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
  alone = [fitting.choose_range(page[..., None], None) for page in (dark, bright)]
  (low, high), second, constant = _shared(tmp_path / "stack.tif")
  assert low < alone[0][0] and alone[1][1] < high < 1.05 * alone[1][1] and second == (low, high) and constant is None
  assert _shared(tmp_path / "stack.tif", data__range=(0.0, 2000.0)) == [(0.0, 2000.0)] * 3
  tifffile.imwrite(tmp_path / "bytes.tif", np.uint8(pages % 256), photometric="minisblack")
  assert _shared(tmp_path / "bytes.tif") == [None] * 3
  (tmp_path / "folder").mkdir()
  for number, page in enumerate((dark, bright)):
    np.save(tmp_path / "folder" / f"{number}.npy", page)
  assert _shared(tmp_path / "folder") == [None] * 2


def test_hdus_of_a_fits_file_have_ranges_of_their_own_and_planes_of_one_share_it(tmp_path):
  planes = np.float32(np.random.default_rng(0).uniform(0, 1, (2, 24, 30))) * np.float32([[[1]], [[7]]])
  fits.HDUList([fits.PrimaryHDU(planes), fits.ImageHDU(100 * planes[0])]).writeto(tmp_path / "cube.fits")
  first, second, own = _shared(tmp_path / "cube.fits")
  assert first == second and first[1] > 6 and own is None
