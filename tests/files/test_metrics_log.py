"""metrics.jsonl: what is written is read, a resumed log goes on, and one that was changed is refused."""

import sys

import numpy as np
import pytest

from oes_jax.files import _metrics_log as metrics_log


def _chunk(first, count):
  steps = np.arange(first, first + count)
  return {"loss": 1 / steps, "psnr": 10.0 + steps}


@pytest.fixture
def logged(tmp_path):
  """A folder with three mask steps and four weight steps."""
  with metrics_log.MetricsLog(tmp_path, None) as log:
    log.write("mask", 1, _chunk(1, 3))
    log.write("weights", 1, _chunk(1, 2))
    log.write("weights", 3, _chunk(3, 2))
    log.sync()
  return tmp_path


def test_steps_come_back_by_stage_and_metric(logged):
  stages = metrics_log.read_metrics(logged / "metrics.jsonl")
  assert list(stages) == ["mask", "weights"]
  np.testing.assert_array_equal(stages["weights"]["step"], [1, 2, 3, 4])
  np.testing.assert_allclose(stages["weights"]["loss"], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-7)
  np.testing.assert_array_equal(stages["mask"]["psnr"], [11, 12, 13])
  assert list((logged / "tensorboard").iterdir())


@pytest.mark.parametrize("tail", ["", '{"stage": "wei'])
def test_a_resumed_log_writes_again_what_lies_beyond_the_checkpoint(logged, tail):
  path = logged / "metrics.jsonl"
  whole = path.read_text()
  path.write_text(whole + tail)
  with metrics_log.MetricsLog(logged, ("weights", 2)) as log:
    log.write("weights", 3, _chunk(3, 2))
  assert path.read_text() == whole


def test_a_new_run_begins_a_new_log(logged):
  with metrics_log.MetricsLog(logged, None):
    assert (logged / "metrics.jsonl").read_text() == ""


@pytest.mark.parametrize("damage", [
    lambda path: path.unlink(),
    lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:4])),
    lambda path: path.write_text("no record\n" + path.read_text()),
], ids=["none", "too short", "foreign line"])
def test_a_log_that_does_not_reach_the_checkpoint_is_refused(logged, damage):
  damage(logged / "metrics.jsonl")
  with pytest.raises(metrics_log.DamagedLog, match="does not reach step 2 of the weights stage"):
    metrics_log.MetricsLog(logged, ("weights", 2))


def test_without_tensorboard_the_lines_are_written_and_the_package_is_named(tmp_path, monkeypatch, caplog):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  with metrics_log.MetricsLog(tmp_path, None) as log:
    log.write("weights", 1, {"loss": np.array([0.5, 0.25])})
  assert metrics_log.read_metrics(tmp_path / "metrics.jsonl")["weights"]["loss"].tolist() == [0.5, 0.25]
  assert "pip install tensorboardX" in caplog.text and not (tmp_path / "tensorboard").exists()
