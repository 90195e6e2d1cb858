"""What was expected against what is true: scores of known errors, and their table."""

import numpy as np
import pytest

from configs import denoise
from oes_jax import runs
from oes_jax.bench import _expected


@pytest.mark.parametrize("operator", ["identity", "inpainting"])
def test_a_known_error_is_scored_where_it_is_measured(tmp_path, operator):
  config = denoise.get_config().unlock()
  config.update_from_flattened_dict({"data.source": "camera", "data.crop": (0, 0, 24, 24), "operator.name": operator,
                                     "generator.num_scales": 1})
  job = runs.inspect(config.lock())
  measured = runs.measure(job)
  error = np.full(measured.truth.shape, 0.1)
  if operator == "inpainting":
    error[np.asarray(job.data.operator.seen(measured.op_params)) == 0] = 0.5
  error[:, :12] /= 10
  np.save(tmp_path / "output.npy", measured.truth + error)
  np.save(tmp_path / "error_map.npy", error[..., 0])
  row = _expected._score(job, {"folder": str(tmp_path), "expected_psnr": {"psnr": 20.0, "spread": 1.0}})
  seen = error[np.asarray(job.data.operator.seen(measured.op_params)) > 0] if operator == "inpainting" else error
  assert row["measured psnr"] == pytest.approx(-10 * np.log10(np.mean(seen ** 2)), abs=1e-3)
  assert row["image psnr"] == pytest.approx(-10 * np.log10(np.mean(error ** 2)), abs=1e-3)
  assert row["map of pixels"] == pytest.approx(1, abs=1e-5) and row["map around"] > 0.5


def test_the_table_has_medians_of_denoising_and_of_operators():
  row = {"image": "a", "seed": 0, "spread": 1.0, "map around": 0.5, "map of pixels": 0.25, "measured psnr": 30.0}
  rows = [{**row, "problem": "noise", "denoising": True, "expected": expected} for expected in (30.5, 29.0, 28.0)]
  rows.append({**row, "problem": "blur", "denoising": False, "expected": 31.5})
  rows.append({**row, "problem": "blur", "denoising": False, "expected": None, "spread": None})
  table = _expected.tabulate(rows)
  assert table[1] == ["noise", "3", "1.00", "-0.83", "67 %", "0.50", "0.25"]
  assert [line[0] for line in table[1:]] == ["noise", "blur", "denoising", "operators"] and table[4][1:3] == ["1 of 2", "1.50"]


def test_through_an_operator_there_need_be_no_map(tmp_path):
  config = denoise.get_config().unlock()
  config.update_from_flattened_dict({"data.source": "camera", "data.crop": (0, 0, 24, 24), "generator.num_scales": 1})
  job = runs.inspect(config.lock())
  np.save(tmp_path / "output.npy", runs.measure(job).truth + 0.1)
  row = _expected._score(job, {"folder": str(tmp_path), "expected_psnr": {"psnr": 20.0, "spread": 1.0}})
  line, = _expected.tabulate([{**row, "problem": "blur", "denoising": False}])[1:2]
  assert row["measured psnr"] == pytest.approx(20, abs=1e-3) and line[-2:] == ["", ""]
