"""What is known of cases before any is run, and how batches are cut."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from oes_jax import files
from oes_jax import runs
from oes_jax.sweeps import _cases as cases
from oes_jax.sweeps import _plan as plan
from oes_jax.sweeps import _results as results
import tiny_sweep


def _planned(name, group="a", shape=(24, 30, 1), done=False, error=None):
  return cases.Case(None, 0, 0, name=name, error=error, done=done, group=group, shape=shape, padded=(32, 32),
                    need=(1000, 100), tile=0)


def _cut(planned, **changes):
  return list(plan.cut_batches(planned, **{"images_per_device": None, "free": 10 ** 6, "devices": 1, **changes}))


def test_a_case_is_planned_without_a_file_being_written(tmp_path):
  asked, other = cases.expand(tiny_sweep.config())
  first, second = plan.make_plan([asked, other], tmp_path)
  assert (first.config, first.name, first.done) == (asked.config, first.name, False)
  assert first.name.startswith("camera-seed0-") and second.name.startswith("coins-seed0-")
  assert first.group == second.group and first.shape == (24, 30, 1) and first.tile == 0 and first.error is None
  assert not any(tmp_path.iterdir())
  runs.claim(plan.read_case(first, tmp_path))
  files.write_sealed(tmp_path / first.name / "failure.json", {"failure": "the loss is not finite", "sigma": 0.1})
  assert plan.plan_case(asked, tmp_path) == dataclasses.replace(first, done=True)


def test_a_case_whose_file_is_faulty_has_an_error_and_no_batch(tmp_path):
  image = tmp_path / "broken.png"
  image.write_bytes(b"no image")
  made = plan.make_plan(cases.expand(tiny_sweep.config(data__source=f"camera,{image}")), tmp_path / "cases")
  assert [case.error is None for case in made] == [True, False]
  assert "cannot be read as an image" in made[1].error and made[1].name == plan.unread_name(made[1])
  assert made[1].done is False and made[1].group is None
  cut, = _cut(made, free=10 ** 12)
  assert cut.cases == made[:1]


@pytest.mark.parametrize("count, most, devices, sizes", [
    (5, 4, 1, [3, 2]), (8, 4, 1, [4, 4]), (9, 4, 2, [6, 3]), (3, 16, 8, [3]), (7, 1, 3, [3, 3, 1])])
def test_batches_are_as_equal_as_possible(count, most, devices, sizes):
  cuts = _cut([_planned(str(i)) for i in range(count)], images_per_device=most, devices=devices)
  assert [len(cut.cases) for cut in cuts] == sizes
  assert {cut.width for cut in cuts} == {-(-sizes[0] // devices)} and cuts[0].width <= most
  assert [case.name for cut in cuts for case in cut.cases] == [str(i) for i in range(count)]


def test_what_is_finished_cuts_no_other_batches():
  fresh = [_planned(str(i)) for i in range(7)]
  later = [dataclasses.replace(case, done=case.name in "026") for case in fresh]
  names = lambda cuts: [[case.name for case in cut.cases] for cut in cuts]
  assert names(_cut(fresh, images_per_device=2)) == names(_cut(later, images_per_device=2))


def test_groups_share_no_batch_and_smaller_images_are_framed():
  cuts = _cut([_planned("0"), _planned("1", group="b"), _planned("2", shape=(20, 31, 1)), _planned("3", group="b")],
              images_per_device=2)
  assert [[case.name for case in cut.cases] for cut in cuts] == [["0", "2"], ["1", "3"]]
  assert [(cut.frame, cut.framed) for cut in cuts] == [((32, 32, 1), True), ((24, 30, 1), False)]


def test_no_more_images_at_once_than_the_memory_holds():
  planned, devices = [_planned(str(i)) for i in range(2)], jax.local_device_count()
  assert plan.images_at_once(planned, 1000 + 2 * 100 * devices) == 2
  assert plan.images_at_once(planned, 0) == 1
  assert plan.images_at_once(planned, 10 ** 9) == 4


@pytest.mark.slow
def test_a_file_that_goes_during_a_sweep_fails_alone(tmp_path, monkeypatch):
  image = tmp_path / "frame.npy"
  np.save(image, np.random.default_rng(0).uniform(size=(24, 30)).astype(np.float32))
  make_plan = plan.make_plan
  def planned_then_removed(*args):
    made = make_plan(*args)
    image.unlink()
    return made
  monkeypatch.setattr(plan, "make_plan", planned_then_removed)
  config = tiny_sweep.config(data__source=f"{image},camera", data__crop=(0, 0, 24, 30), sweep__mask_sources=("random",))
  folder, complete = tiny_sweep.run(config, tmp_path / "run")
  failures = {line["source"]: line["failure"] for line in results.read_results(folder).values()}
  assert not complete and failures["camera"] is None and "does not exist" in failures[str(image)]


def test_the_processes_of_one_program_plan_their_share_and_know_all(tmp_path, monkeypatch):
  listed = cases.expand(tiny_sweep.config(sweep__seeds=(0, 1, 2, 3), data__source="camera"))
  alone = plan.make_plan(listed, tmp_path)
  told = []
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  monkeypatch.setattr(
      plan.parallel, "gather", lambda value: told.append(json.loads(json.dumps(value))) or [value, value])
  for index in (0, 1):
    monkeypatch.setattr(jax, "process_index", lambda index=index: index)
    plan.make_plan(listed, tmp_path)
  monkeypatch.setattr(plan.parallel, "gather", lambda value: told)
  both = plan.make_plan(listed, tmp_path)
  assert [(case.config, case.name, case.group) for case in both] == [
      (case.config, case.name, case.group) for case in alone]
  assert _cut(both, free=10 ** 12) == [cut._replace(cases=both) for cut in _cut(alone, free=10 ** 12)]
