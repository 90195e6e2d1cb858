"""Iterative magnitude pruning, and Langevin dynamics: whole runs of a tiny config."""

import shutil

import interruption
import jax
import numpy as np
import pytest

from oes_jax import files
from oes_jax import masks
from oes_jax import runs
from runs import tiny_run

TINY = {
    "data.source": "camera", "data.crop": (100, 200, 24, 24), "generator.num_scales": 1,
    "generator.channels": (6,), "mask.source": "imp", "mask.rounds": 2, "mask.round_steps": 10,
    "mask.keep_fraction": 0.3, "weights.num_steps": 10, "checkpoint.every_steps": 5,
    "compute.chunk_steps": 5}


def _restore(folder, **changes):
  return tiny_run.restore(folder, TINY, **changes)


@pytest.fixture(scope="module", name="whole")
def fixture_whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp("rounds") / "run"
  return folder, _restore(folder)


def _masks(folder):
  return [files.load_mask(folder / name)[0] for name in ("mask_0.5000", "mask")]


@pytest.mark.slow
def test_rounds_prune_to_the_exact_density_and_never_revive(whole):
  folder, summary = whole
  first, last = _masks(folder)
  size = summary["mask"]["size"]
  kept = [sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask)) for mask in (first, last)]
  spared = sum(leaf.size for path, leaf in jax.tree_util.tree_leaves_with_path(last) if path[-1].key != "kernel")
  share = (int(0.3 * size) - spared) / (size - spared)  # of the kernels, which alone are pruned
  assert kept == [spared + int(share ** 0.5 * (size - spared)), int(0.3 * size)]
  for before, after in zip(jax.tree.leaves(first), jax.tree.leaves(last)):
    assert not np.any(after & ~before)
  assert list(summary["seconds"]) == ["round_1", "round_2", "weights"]
  assert all(value > 0 for value in summary["peak_bytes"].values())


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, 12])
def test_the_last_round_finds_the_density_at_which_enough_weights_can_act(tmp_path, rounds):
  summary = _restore(tmp_path / "run", **{"mask.keep_fraction": None, "mask.rounds": rounds})["mask"]
  target = masks.acting_target(24 * 24)
  assert target <= summary["acting"] < 1.5 * target and not summary["collapse"]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["learn", "snip", "imp"])
def test_masks_of_kernels_only_keep_every_norm_and_bias(tmp_path, source):
  _restore(tmp_path / "run", **{"mask.source": source, "mask.prune": "kernels", "mask.num_steps": 20})
  mask = files.load_mask(tmp_path / "run" / "mask")[0]
  if source == "learn":  # their gates start wide open, at 30
    size = sum(leaf.size for leaf in jax.tree.leaves(mask))
    open_ = sum(leaf.size for path, leaf in jax.tree_util.tree_leaves_with_path(mask) if path[-1].key != "kernel")
    first = files.read_metrics(tmp_path / "run" / "metrics.jsonl")["mask"]["mean_logit"][0]
    assert first == pytest.approx(30 * open_ / size, abs=0.1)
  arrays = jax.tree_util.tree_leaves_with_path(mask)
  assert all(np.all(leaf) for path, leaf in arrays if path[-1].key != "kernel")
  assert not all(np.all(leaf) for path, leaf in arrays)


@pytest.mark.slow
def test_rounds_start_from_the_initial_weights(whole, tmp_path):
  folder, _ = whole
  traces = files.read_metrics(folder / "metrics.jsonl")
  _restore(tmp_path / "dense", **{"mask.source": "dense", "mask.keep_fraction": None})
  dense = files.read_metrics(tmp_path / "dense" / "metrics.jsonl")["weights"]
  np.testing.assert_allclose(traces["round_1"]["loss"], dense["loss"], rtol=1e-4)
  # The second round's first loss is that of the initial weights under the first round's mask.
  job = runs.inspect(tiny_run.config(TINY), str(folder))
  row = runs.make_row(job.generator, job.shape, False, job, operator=job.data.operator)
  mask = jax.tree.map(np.float32, _masks(folder)[0])
  rewound = masks.masked_output(job.generator, row.params, mask, row.problem.net_input)
  expected = np.mean((np.asarray(rewound) - row.measurement.values) ** 2)
  assert traces["round_2"]["loss"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [  # chunks: each stage has two
    pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow),
    pytest.param(5, marks=pytest.mark.slow)])
def test_rounds_resume_bit_for_bit(whole, tmp_path, monkeypatch, stop_after):
  resume = interruption.interrupt_after(monkeypatch, stop_after)
  with pytest.raises(runs.Interrupted, match="SIGTERM"):
    _restore(tmp_path / "run")
  resume()
  _restore(tmp_path / "run")
  tiny_run.same_result(tmp_path / "run", whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["mask_0.5000", "mask"])
def test_a_lost_mask_of_a_round_ends_alike(whole, tmp_path, monkeypatch, lost):
  # In the round, or the stage, that goes on with it.
  resume = interruption.interrupt_after(monkeypatch, 3 if lost == "mask_0.5000" else 5)
  with pytest.raises(runs.Interrupted):
    _restore(tmp_path / "run")
  resume()
  shutil.rmtree(tmp_path / "run" / lost)
  _restore(tmp_path / "run")
  tiny_run.same_result(tmp_path / "run", whole[0])


@pytest.mark.slow
def test_the_oracle_fits_the_clean_image_in_its_rounds_only(whole, tmp_path):
  _restore(tmp_path / "run", **{"mask.source": "imp_oracle"})
  blind, oracle = (files.read_metrics(folder / "metrics.jsonl") for folder in (whole[0], tmp_path / "run"))
  # Its loss is the error that the PSNR of the same step scores; the blind one's is not.
  np.testing.assert_allclose(oracle["round_1"]["mse"], 10 ** (-oracle["round_1"]["psnr"] / 10), rtol=1e-3)
  np.testing.assert_array_less(10 ** (-blind["round_1"]["psnr"] / 10), blind["round_1"]["mse"])
  np.testing.assert_array_less(10 ** (-oracle["weights"]["psnr"] / 10), oracle["weights"]["mse"])


def test_an_oracle_needs_a_truth(tmp_path):
  with pytest.raises(ValueError, match="mask.source='imp_oracle'.*data.truth"):
    _restore(tmp_path / "run", **{"mask.source": "imp_oracle", "noise.sigma": 0.0})
  with pytest.raises(ValueError, match=r"mask.keep_fraction=0.01 keeps .* mask.source='imp' .*mask.prune='all'"):
    _restore(tmp_path / "run", **{"mask.keep_fraction": 0.01})
  with pytest.raises(ValueError, match="mask.prune='norms' is unknown; allowed: all, kernels"):
    _restore(tmp_path / "run", **{"mask.prune": "norms"})
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_sgld_runs_and_draws_other_noise_in_every_step(tmp_path):
  changes = {"mask.source": "dense", "mask.keep_fraction": None, "weights.average_decay": 1.0,
             "weights.average_from": 4, "compute.compaction": False}  # which goes with no noise, and rounds otherwise
  quiet = _restore(tmp_path / "quiet", **changes)
  noisy = _restore(tmp_path / "noisy", **changes, **{"weights.sgld_noise": 2.0})
  traces = [files.read_metrics(tmp_path / name / "metrics.jsonl")["weights"] for name in ("quiet", "noisy")]
  assert traces[0]["loss"][0] == traces[1]["loss"][0]  # the first forward pass comes before any noise
  assert np.all(traces[0]["loss"][1:] != traces[1]["loss"][1:])
  assert quiet["quality"]["average"] != noisy["quality"]["average"]
