"""Method auto against its candidates: rows and table."""

import json

from configs import benchmark
from oes_jax.bench import __main__
from oes_jax.bench import _auto
from oes_jax.bench import _cases


def _summary(auto, **candidates):
  return {"quality": {"combined": {"psnr": auto, "ssim": 0.9}}, "expected_psnr": {"psnr": auto - 1},
          "candidates": [{"name": name, "share": 0.5, "misfit": 0.1, "seconds": 2.0, "quality": {"psnr": psnr, "ssim": 0.8}}
                         for name, psnr in candidates.items()]}


def test_the_table_has_means_of_what_every_case_has_and_the_best_of_each_case():
  rows = [*_auto.rows_of("noise", ("a", 0), _summary(31.0, one=30.0, other=29.0, third=20.0)),
          *_auto.rows_of("noise", ("b", 0), _summary(33.0, one=30.0, other=34.0)),
          *_auto.rows_of("blur", ("a", 0), _summary(25.0, one=24.0))]
  table = _auto.tabulate(rows)
  assert table[0] == ["problem", "cases", "auto", "one", "other", "best candidate of each case (oracle)", "auto, seconds"]
  assert table[1] == ["noise", "2", "32.00", "30.00", "31.50", "32.00", "5"]
  assert table[2] == ["blur", "1", "25.00", "24.00", "", "24.00", "2"]
  assert table[3] == ["mean over the problems", "3", "28.50", "27.00", "", "28.00", "4"]


def test_what_a_record_holds_is_not_run_again(tmp_path, monkeypatch, capsys):
  ran = []
  def restore_cases(config, folder, title, changes):
    ran.append(title)
    assert changes
    return {key: _summary(30.0 + key[1], one=30.0) for key in _cases.keys_of(config)}
  monkeypatch.setattr(_auto._cases, "restore_cases", restore_cases)
  config = benchmark.get_config("auto").unlock()
  config.benchmark.update({"problems": benchmark.AUTO[:2], "inverse_seeds": (0,)})
  monkeypatch.setattr(_auto._cases, "read_config", lambda path: config)
  run = lambda *flags: __main__.main(["auto", "--folder", str(tmp_path), *flags])
  run("--output", str(tmp_path / "first.json"))
  assert ran == ["64 x 64, noise 0.1, seed 0", "noise 0.1, seed 0"]
  config.benchmark.inverse_seeds = (0, 1)
  run("--extends", str(tmp_path / "first.json"), "--output", str(tmp_path / "second.json"))
  assert ran[2:] == ["64 x 64, noise 0.1, seed 1", "noise 0.1, seed 1"]
  rows = [json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in ("first", "second")]
  assert [{**row, "from": None} for row in rows[1][:len(rows[0])]] == [{**row, "from": None} for row in rows[0]]
  assert len(rows[1]) == 2 * len(rows[0]) and {row["psnr"] for row in rows[1] if row["method"] == "auto"} == {30.0, 31.0}
  assert "mean over the problems" in capsys.readouterr().out


def test_a_result_of_which_nothing_is_expected_has_a_row():
  row, *_ = _auto.rows_of("noise", ("a", 0), {**_summary(31.0, one=30.0), "expected_psnr": None})
  assert row["expected"] is None
