"""Time to quality."""

import json

import pytest

from oes_jax.bench import __main__
from oes_jax.bench import _denoising
from oes_jax.bench import _steps


def test_time_to_quality_uses_a_kept_record(tmp_path, monkeypatch, capsys):
  quality = {name: {"psnr": 20.0} for name in ("measurement", "last", "average")}
  summary = {"quality": quality, "seconds": {"mask": {"total": 1.0}, "weights": {"total": 3.0}},
             "config": {"mask": {"num_steps": 100}, "weights": {"num_steps": 50}}}
  (tmp_path / "kept.json").write_text(json.dumps({**summary, "date": "2026-01-01", "cores": 2}))
  monkeypatch.setattr(_denoising, "run", lambda *_: summary)
  monkeypatch.setattr(_steps, "time_own_steps",
                      lambda *_, **__: {"mask": 2.0, "dense": 4.0})
  monkeypatch.setattr("sys.argv", [
      "bench", "time_to_quality", "--faithful_record", str(tmp_path / "kept.json"),
      "--output", str(tmp_path / "out.json"), "--folder", str(tmp_path)])
  for name in ("first", "cache"):  # a user's own, as it happens
    (tmp_path / name).mkdir()
  __main__.main()
  assert (tmp_path / "first").is_dir() and (tmp_path / "cache").is_dir()
  record = json.loads((tmp_path / "out.json").read_text())
  for name, seconds in record["default"]["seconds"].items():
    assert record["ratio"][name] == pytest.approx((100 * 2 + 50 * 4) / seconds)
  assert record["faithful"]["seconds"] == 4 and {"date", "device", "cores"} <= record.keys()
  assert "ratio: " in capsys.readouterr().out
