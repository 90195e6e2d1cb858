"""Method auto of tiles and of an ensemble: what is said of all parts together."""

import importlib.util
import types

import numpy as np
import pytest

from oes_jax.runs import _auto
from oes_jax.runs import _candidates
from oes_jax.runs import _run as runs_of_one
from oes_jax.sweeps import _results
import pages
from runs import tiny_run

_AUTO = {**tiny_run.TINY_MEASURED, **tiny_run.RECORRUPTED, "mask.source": "dense", "weights.num_steps": 6, "method": "auto",
         "noise.sigma": 0.1, "budget_s": 1e-6}


@pytest.fixture(autouse=True)
def _no_bm3d(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name, of_all=importlib.util.find_spec: None if name == "bm3d" else of_all(name))


def _part(left_out, **shares):
  return {"candidates": [{"name": name, "share": share, "misfit": 0.1, "seconds": 2.0, "quality": {"psnr": 20.0}}
                         for name, share in shares.items()], "left_out": left_out}


def test_shares_of_parts_are_their_means():
  told = _candidates.candidates_of_parts([_part({}, first=0.25, second=0.75), _part({"second": "no time"}, first=1.0)])
  assert [(one["name"], one["share"], one["seconds"]) for one in told["candidates"]] == [("first", 0.625, 4.0), ("second", 0.375, 2.0)]
  assert told["left_out"] == {"second": "of 1 of 2: no time"}
  assert _candidates.candidates_of_parts([{"quality": None}]) == {}


def test_tiles_without_a_network_end_and_say_what_was_mixed(tmp_path):
  folder = tmp_path / "run"
  summary = tiny_run.restore(folder, _AUTO, data__crop=(0, 0, 64, 80), compute__tile=64, output__figures=True)
  assert summary["tiles"] == 2 and summary["mask"]["size"] == 0 and summary["mask"]["density"] == 0
  assert [(one["name"], one["share"]) for one in summary["candidates"]] == [("plug-and-play", 1.0)]
  assert "total variation" in summary["left_out"]
  text = pages.read(folder).text
  assert "measurement alone: plug-and-play. How" in text and "weights of a network fitted" not in text


_COLLAPSED = {"seconds": {}, "peak_bytes": {}, "mask": {"kept": 1, "acting": 0, "size": 10, "collapse": ["no path to the image"]}}


def test_a_candidate_whose_mask_has_collapsed_does_not_make_the_mix_a_failure(tmp_path, monkeypatch):
  def collapse(job, signals, label):
    del signals, label
    np.save(job.workdir / "output.npy", np.full(job.shape, 0.5, np.float32))
    return _COLLAPSED
  monkeypatch.setattr(runs_of_one, "_restore_whole", collapse)
  summary = tiny_run.restore(tmp_path / "run", _AUTO, budget_s=None)
  line = _results._finished(types.SimpleNamespace(name="case", asked={}), 0.1, summary)
  assert line["failure"] is None and line["size"] == 40


def test_a_candidate_whose_mask_has_collapsed_is_named():
  of = lambda summary: _candidates.Candidate(np.zeros(1), np.zeros(1), 1.0, summary)
  said, = _auto.remark_collapse({"OES": of(_COLLAPSED), "plug-and-play": of(None)})
  assert "candidate OES has collapsed" in said and "no path to the image" in said
