"""Ensembles of a method."""

import pathlib

import numpy as np
import pytest

from oes_jax.bench import _cases
from oes_jax.bench import _ensembles
from oes_jax.bench import _methods
from oes_jax.bench import _tables
from oes_jax import runs


@pytest.mark.parametrize("lost", [None, 2])
def test_the_mean_of_all_members_is_scored_or_none(tmp_path, arguments, monkeypatch, lost):
  config, key = _cases.read_config(arguments.config), ("coffee", 3)
  job = runs.inspect(_cases.list_cases(config, {key: {"output.image": "guarded"}})[0].config)
  truth, asked = runs.measure(job).truth, []
  def restore_cases(config, folder, name, changes):
    asked.append((folder, name, changes))
    found = {}
    for place, case in enumerate(_cases.list_cases(config, changes)):
      member = pathlib.Path(folder) / str(place)
      member.mkdir(parents=True)
      np.testing.assert_array_equal(runs.measure(runs.inspect(case.config)).values, runs.measure(job).values)
      np.save(member / "output.npy", truth + (0.3 if name == _methods.RECORRUPTED_DENSE else -0.1))
      found[list(changes)[place]] = {
          "folder": str(member), "quality": {"measurement": {"psnr": 9.0, "ssim": 0.1}}, "output_image": "guarded",
          "mask": {"kept": 9, "acting": 9, "size": 9, "collapse": []}, "seconds": {"weights": {"total": 2.0}},
          "config": {"weights": {"learning_rate": 0.1}}, "peak_bytes": {"weights": 5}, "noise_level": None, "guard": {"step": 1}}
    return {place: summary for number, (place, summary) in enumerate(found.items())
            if number != lost or name == _methods.RECORRUPTED_DENSE}
  monkeypatch.setattr(_cases, "restore_cases", restore_cases)
  restored = _ensembles.restore_method(config, lambda name: (tmp_path / _cases.folder_name(name), name), _methods.ENSEMBLE,
                                {key: {"output.image": "guarded"}})
  assert [name for _, name, _ in asked] == [_methods.RECORRUPTED_DENSE, _methods.ENSEMBLE]
  assert key in asked[0][2] and len({seed for _, seed in asked[1][2]} - {3}) == 3
  assert list(restored) == ([] if lost else [key])
  for row in (_tables.row(_methods.ENSEMBLE, *item) for item in restored.items()):
    assert row["guarded psnr"] > 60 and row["seconds"] == {"weights": 8.0} and "guard step" not in row
