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
  """A folder with three mask steps and four weight steps; a checkpoint was saved after two of these."""
  with metrics_log.MetricsLog(tmp_path, None) as log:
    log.write("mask", 1, _chunk(1, 3))
    log.write("weights", 1, _chunk(1, 2))
    mark = metrics_log.Mark("weights", 2, *log.sync())
    log.write("weights", 3, _chunk(3, 2))
  return tmp_path, mark


def test_steps_come_back_by_stage_and_metric(logged):
  stages = metrics_log.read_metrics(logged[0] / "metrics.jsonl")
  assert list(stages) == ["mask", "weights"]
  np.testing.assert_array_equal(stages["weights"]["step"], [1, 2, 3, 4])
  np.testing.assert_allclose(stages["weights"]["loss"], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-7)
  np.testing.assert_array_equal(stages["mask"]["psnr"], [11, 12, 13])
  assert list((logged[0] / "tensorboard").iterdir())


@pytest.mark.parametrize("tail", ["", '{"stage": "wei'])
def test_a_resumed_log_writes_again_what_lies_beyond_the_checkpoint(logged, tail):
  folder, mark = logged
  path = folder / "metrics.jsonl"
  whole = path.read_text()
  path.write_text(whole + tail)
  with metrics_log.MetricsLog(folder, mark) as log:
    log.write("weights", 3, _chunk(3, 2))
    again = log.sync()
  assert path.read_text() == whole
  assert metrics_log.read_marked(folder, metrics_log.Mark("weights", 4, *again)) == whole.encode()


def test_a_new_run_begins_a_new_log(logged):
  with metrics_log.MetricsLog(logged[0], None):
    assert (logged[0] / "metrics.jsonl").read_text() == ""


@pytest.mark.parametrize("damage, fault", [
    (lambda path: path.unlink(), "does not reach"),
    (lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:4])), "does not reach"),
    (lambda path: path.write_text("no record\n" + path.read_text()), "is not what was logged up to"),
    (lambda path: path.write_text(path.read_text().replace("0.5", "0.6")), "is not what was logged up to"),
    (lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[1:])), "is not what was logged up to"),
], ids=["none", "too short", "foreign line", "changed digit", "missing line"])
def test_a_log_that_is_not_what_the_checkpoint_relies_on_is_refused(logged, damage, fault):
  folder, mark = logged
  damage(folder / "metrics.jsonl")
  with pytest.raises(metrics_log.DamagedLog, match=f"{fault} step 2 of the weights stage.*Use a new --workdir"):
    metrics_log.MetricsLog(folder, mark)


@pytest.mark.parametrize("text", ["[1]", '{"loss": 1}', "{", "9" * 5000, "[" * 10 ** 5])
def test_what_is_no_record_of_steps_is_named(tmp_path, text):
  (tmp_path / "metrics.jsonl").write_text(text)
  with pytest.raises(ValueError, match="metrics.jsonl is no record of steps"):
    metrics_log.read_metrics(tmp_path / "metrics.jsonl")


def test_without_tensorboard_the_lines_are_written_and_the_package_is_named(tmp_path, monkeypatch, caplog):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  with metrics_log.MetricsLog(tmp_path, None) as log:
    log.write("weights", 1, {"loss": np.array([0.5, 0.25])})
  assert metrics_log.read_metrics(tmp_path / "metrics.jsonl")["weights"]["loss"].tolist() == [0.5, 0.25]
  assert 'tensorboard/ is not written; metrics.jsonl holds every step. For it: pip install "oes_jax[tensorboard]"' in caplog.text
  assert not (tmp_path / "tensorboard").exists()
