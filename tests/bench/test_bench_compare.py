"""The comparison: what methods share, and what its table says."""

import argparse
import json
import pathlib
import runpy

import jax
import numpy as np
import pytest
from ml_collections import config_dict
from skimage import restoration

from configs import benchmark
from oes_jax.bench import _analyses as bench_analyses
from oes_jax.bench import _cases as bench_cases
from oes_jax.bench import _compare as bench_compare
from oes_jax.bench import _inverse as bench_inverse
from oes_jax.bench import _methods as methods
from oes_jax.bench import _records as records
from oes_jax.bench import _transfer as bench_transfer
from oes_jax.bench import peers as classical
from oes_jax.bench.peers import _inverse as inverse_peers
from oes_jax.bench.peers import _zs_n2n as zs_n2n
from oes_jax import files
from oes_jax.generators import _generators as generators
from oes_jax.masks import _masks as masks
from oes_jax.masks import _pruning as pruning
from oes_jax import metrics
from oes_jax.operators import _kernels as kernels
from oes_jax.operators import _operators as operators
from oes_jax.runs import _jobs as jobs
from oes_jax.runs import _members as members
from oes_jax.runs import _run as run
from oes_jax.runs import _validation as validation

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = (32, 32, 3)
LEARNED = methods.Learned(
    "mask", 2000, 500, 20000, {"name": "hourglass", "num_scales": 2, "channels": [16, 32]}, SHAPE, 90)


def _weights(channels):
  generator = generators.make_generator("hourglass", image_shape=SHAPE, num_scales=2, channels=channels)
  return masks.count_weights(jax.eval_shape(generator.init, jax.random.key(0))[0])


@pytest.mark.parametrize("count", [3000, pytest.param(20000, marks=pytest.mark.slow)])
def test_a_narrow_net_has_about_as_many_weights(count):
  channels = methods.narrow_channels(LEARNED.spec, SHAPE, count)
  assert len(channels) == 2 and channels[1] / channels[0] == pytest.approx(2, abs=0.5)
  assert _weights(channels) == pytest.approx(count, rel=0.25)


def test_masks_of_criteria_keep_as_many_weights_as_the_learned_one():
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow", "iterative magnitude pruning"):
    changes = methods.changes_of(name, 90, LEARNED)
    assert masks.keep_count(changes["mask.keep_fraction"], LEARNED.size) == LEARNED.kept
    assert methods.changes_of(name, 90, None) is None  # nothing to go by
  decoder = methods.changes_of("narrow deep decoder, as many weights as kept", 90, LEARNED)
  generator = generators.make_generator(
      "deep_decoder", image_shape=SHAPE, num_scales=2, channels=decoder["generator.channels"])
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  assert masks.count_weights(params) == pytest.approx(LEARNED.kept, rel=0.1)
  wide = methods.narrow_channels(generator.spec, SHAPE, 3 * masks.count_weights(params))  # as many, where it has fewer
  assert min(wide) > max(decoder["generator.channels"])


def test_a_case_without_a_learned_mask_is_lost_to_those_only_that_need_it(tmp_path):
  config = bench_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:quick")
  summary = {"folder": str(tmp_path), "mask": {"kept": 2000, "acting": 500, "size": 20000}, "generator": {
      **LEARNED.spec, "image_channels": 3}}
  learned = {("rocket", 0): summary}  # those of the two other images have failed
  of = lambda name: bench_cases.changes_of(config, name, learned, {"noise.sigma": 0.2})
  assert [list(of(name)) for name in ("dense (deep image prior)", "SynFlow, at least as many as can act", "random, 50 %")] == [
      bench_cases.keys_of(config)] * 3
  assert list(of("SNIP")) == list(of("learned mask, plain mean")) == [("rocket", 0)]
  assert of("SNIP")["rocket", 0]["noise.sigma"] == 0.2
  full = benchmark.get_config("full")  # whose own density is fixed
  assert {change["mask.keep_fraction"] for change in bench_cases.changes_of(
      full, "SynFlow, at least as many as can act", {}, {}).values()} == {None}
  assert of("learned mask, plain mean")["rocket", 0]["mask.path"] == str(tmp_path / "mask")


def test_differences_are_averaged_over_seeds_and_their_error_is_over_images():
  row = lambda image, seed, psnr: {"image": image, "seed": seed, "average psnr": psnr}
  mine = [row("x", 0, 21.0), row("x", 1, 23.0), row("y", 0, 34.0), row("z", 5, 50.0)]
  others = [row("x", 0, 20.0), row("x", 1, 20.0), row("y", 0, 30.0), row("z", 0, 1.0)]
  assert bench_cases.paired(mine, others) == "+3.00 ± 1.00"  # of 2 and 4; z has no pair
  assert bench_cases.paired(mine[:2], others) == "+2.00" and bench_cases.paired(mine, []) == ""


def _row(method, seed, psnr, collapse=()):
  return {"method": method, "image": "x", "seed": seed, "last psnr": psnr - 1, "last ssim": 0.4,
          "average psnr": psnr, "average ssim": 0.5, "best psnr": psnr + 1, "kept": 1200, "acting": 300,
          "collapse": list(collapse), "guarded psnr": psnr, "guarded ssim": 0.5, "guard step": 1000,
          "learning rate": 0.01, "seconds": {"mask": 2.0, "weights": 3.0}, "peak bytes": 5e6}


def test_the_table_ranks_what_does_not_see_the_truth_and_counts_collapsed_runs():
  peer = {"method": "b", "image": "x", "seed": 0, "average psnr": 28.0, "average ssim": 0.7, "collapse": [],
          "seconds": {"all": 0.25}}
  rows = [_row("a", 0, 20.0), _row("a", 1, 22.0, ["dead"]), peer, _row(methods.LEARNED, 0, 24.0),
          _row(methods.LEARNED, 1, 25.0), _row(methods.ORACLE, 0, 30.0), _row(methods.ORACLE, 1, 30.0),
          _row("d", 1, 27.0), _row("e", 0, 19.0, ["dead"]), _row("e", 1, 19.0, ["dead"])]
  table = bench_compare.tabulate(rows, 2)
  assert [line[:2] for line in table[1:]] == [
      ["", methods.ORACLE], ["", "b"], ["", "d"], ["1", methods.LEARNED], ["2", "a"], ["", "e"]]
  assert table[3][-1] == "1 of 2" and table[3][3] == "+2.00" and table[4][3] == ""
  assert table[6][-2:] == ["2 of 2", ""]  # that every case collapses is no rank
  assert bench_compare.tabulate(rows, 2, ["f", "a"])[7] == ["", "f", *[""] * 15, "2 of 2"]  # every case has failed
  assert table[5] == ["2", "a", "21.00 ± 1.41", "-3.50", "0.500", "20.00 ± 1.41", "0.400", "21.00 ± 1.41", "0.500", "1,000",
                      "22.00 ± 1.41", "1,200", "300", "2.0", "3.0", "5", "1 of 2", ""]
  assert table[2] == ["", "b", "28.00", "+4.00", "0.700", *[""] * 9, "0.2", "", "", "1 of 2"]


def test_the_learning_rate_is_the_best_one_on_the_tuning_images():
  rows = [{**_row(name, 0, psnr), "learning rate": rate} for name, rate, psnr in (
      ("a", 0.01, 20.0), ("a", 0.1, 21.0), ("b", 0.01, 25.0), ("b", 0.1, 24.0))]
  assert bench_compare._best_rates(rows, 1) == {"a": 0.1, "b": 0.01}
  half = [*rows, {**rows[2], "seed": 1}]  # of b, at 0.01 alone, both cases have a result
  assert bench_compare._best_rates(half, 2) == {"b": 0.01}
  table = bench_compare.tabulate_tuned(rows[1:3], rows, 1)
  assert table[1] == ["b", "0.01 (an end of the range)", "25.00", "24.00", "26.00", "25.00", "24.00"]
  assert table[0][-2:] == ["tuning, 0.01", "tuning, 0.1"]
  # Every case of c has failed, at every rate.
  table = bench_compare.tabulate_tuned(rows[1:3], rows, 1, ["a", "c"])
  assert table[0][-3] == "failed" and table[-1] == ["c", "", "", "", "", "all", "", ""]
  assert bench_compare.tabulate_tuned([], [], 1, ["c"]) == [["method", "failed"], ["c", "all"]]


def test_classical_denoisers_score_a_measurement_once(tmp_path, monkeypatch):
  config = bench_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:quick")
  names, given = ["total variation, weight sigma"], []
  denoise = classical.denoise
  def counted(name, measurement, sigma):
    given.append(sigma)
    return denoise(name, measurement, sigma)
  monkeypatch.setattr(classical, "denoise", counted)
  rows_at = lambda sigma: bench_cases.classical_rows(
      config, tmp_path, {key: {"noise.sigma": sigma} for key in bench_cases.keys_of(config)[:1]}, names)
  first = rows_at(0.1)
  assert rows_at(0.1) == first and given == [0.1]  # kept, with the seconds it took
  assert first[0]["average psnr"] > first[0]["measurement psnr"] > rows_at(0.2)[0]["measurement psnr"]
  assert given == [0.1, 0.2]  # another measurement is another file
  assert all(classical.version(name) for name in classical.available())
  monkeypatch.setattr(classical, "version", lambda name: "next")
  assert rows_at(0.1)[0]["average psnr"] == first[0]["average psnr"] and len(given) == 3


RECORDS = ROOT / "docs" / "records"


@pytest.mark.parametrize("record", sorted(RECORDS.glob("compare_*.json")), ids=lambda path: path.stem)
def test_recorded_tables_follow_from_their_rows(record):
  stored = json.loads(record.read_text(encoding="utf-8"))
  asked = stored["config"]["benchmark"]
  cases, names = len(asked["crops"]) * len(asked["seeds"]), asked["methods"] or methods.METHODS
  assert stored["table"] == files.format_markdown(bench_compare.tabulate(stored["rows"], cases, names))
  if "tuned" in stored:
    assert stored["tuned table"] == files.format_markdown(
        bench_compare.tabulate_tuned(stored["tuned"], stored["tuning"], cases, names))


def test_the_recorded_transfer_follows_from_its_rows():
  stored = json.loads((RECORDS / "transfer_quick.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  table = bench_transfer.tabulate(config, stored["rows"])
  assert stored["table"] == files.format_markdown(table)
  # What is left of the own mask's rows says what other initial weights cost; the last rows are of all other images.
  assert table[1][5] == "" and table[-2][:2] == ["all other images", "of the mask"] and "±" in table[-1][5]
  # A mask whose every case has failed keeps its line.
  part = bench_transfer.tabulate(config, [
      row for row in stored["rows"] if row["mask from"] != "astronaut"])
  assert [line[0] for line in part] == [line[0] for line in table] and part[0][-1] == "failed"
  assert {line[0] for line in part if line[-1]} == {"mask learned on", "astronaut"}
  # One image alone has no line for its mask on others.
  config.benchmark.crops = config.benchmark.crops[:1]
  alone = bench_transfer.tabulate(config, [row for row in stored["rows"] if row["image"] == "rocket"])
  assert "rocket" not in {line[0] for line in alone} and len(alone) == len(table) - 6


def test_the_recorded_inverse_problems_follow_from_their_rows():
  stored = json.loads((RECORDS / "inverse.json").read_text(encoding="utf-8"))
  config = config_dict.ConfigDict(stored["config"])
  table = bench_inverse.tabulate(config, stored["rows"])
  assert stored["table"] == files.format_markdown(table)
  part = bench_inverse.tabulate(config, [row for row in stored["rows"] if row["method"] != "zero-filled"])
  failed, = [line for line in part[1:] if line[-1]]
  assert failed[1] == "zero-filled" and failed[-1] == "3 of 3" and len(part) == len(table)


def test_the_pages_show_the_recorded_tables():
  pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md")]
  assert [records.fill_tables(page, RECORDS) for page in pages] == pages
  assert "<!-- compare_answer.json: table -->" in pages[0]
  for name in ("inverse", "transfer_quick", "sparsity_small", "limits_small", "noise_small"):
    assert f"<!-- {name}.json: table -->" in pages[1]
  for record in RECORDS.glob("compare_*.json"):
    stored = json.loads(record.read_text(encoding="utf-8"))
    assert stored.get("tuned table", stored["table"]) in "".join(pages), record.name


def test_recorded_tables_go_to_their_places(tmp_path):
  (tmp_path / "a.json").write_text(json.dumps({"table": "| x |\n| --- |\n| 2 |\n"}))
  text = "before\n<!-- a.json: table -->\n| x |\n| 1 |\n\nafter | 1 |\n"
  filled = records.fill_tables(text, tmp_path)
  assert filled == "before\n<!-- a.json: table -->\n| x |\n| --- |\n| 2 |\n\nafter | 1 |\n"
  assert records.fill_tables(filled, tmp_path) == filled
  with pytest.raises(ValueError, match="a.json has no entry 'tuned table'; it has table"):
    records.fill_tables("<!-- a.json: tuned table -->\n", tmp_path)


def test_the_finish_writes_single_values_and_the_matrix_means(tmp_path):
  rows = [{"mask from": source, "image": image, "average psnr": psnr, "seconds": {"all": 1.0}}
          for source, image, psnr in (("a", "x", 20.0), ("a", "x", 22.0), ("a", "y", 30.0), ("b", "y", 25.0))]
  bench_cases.finish(tmp_path, str(tmp_path / "record.json"), benchmark.get_config(), "tried", rows, [["n"], ["4"]])
  assert (tmp_path / "tried.csv").read_text().splitlines() == [
      "mask from,image,average psnr", "a,x,20.0", "a,x,22.0", "a,y,30.0", "b,y,25.0"]
  record = json.loads((tmp_path / "record.json").read_text())
  assert record["rows"] == rows and record["table"] == "| n |\n| --- |\n| 4 |\n"
  with pytest.raises(run.Failed, match="tried: no case"):
    bench_cases.finish(tmp_path, str(tmp_path / "other.json"), benchmark.get_config(), "tried", [], [["n"]])
  part = [*rows, {"mask from": "b", "image": "x", "average psnr": 28.0}]  # its other case has failed
  names, columns, means = bench_cases.averages(part, lambda row: row["mask from"], lambda row: row["image"])
  assert (names, columns) == (["a", "b"], ["x", "y"])
  np.testing.assert_array_equal(means, [[21, 30], [np.nan, 25]])
  files.save_matrix(tmp_path / "tried.png", names, columns, means, title="t")
  assert (tmp_path / "tried.png").stat().st_size > 100


@pytest.mark.parametrize("argument, said", [
    ("missing.py", "does not exist"), (str(ROOT / "configs" / "sweep.py"), "has no section `benchmark`")])
def test_a_faulty_config_is_named(argument, said):
  with pytest.raises(ValueError, match=f"--config=.*{said}.*allowed"):
    bench_cases.read_config(argument)


def test_every_case_has_its_crop_and_seed():
  config = bench_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:answer")
  listed = bench_cases.list_cases(config, {("retina", 1): {"mask.source": "dense"}, ("rocket", 0): {}})
  assert [(c.config.data.source, c.config.seed, c.config.mask.source) for c in listed] == [
      ("retina", 1, "dense"), ("rocket", 0, "learn")]
  assert tuple(listed[0].config.data.crop) == dict(config.benchmark.crops)["retina"]
  assert "benchmark" not in listed[0].config
  assert len({c.config.noise.seed for c in listed}) == 2  # every measurement has noise of its own


@pytest.mark.parametrize("preset", benchmark.PRESETS)
def test_presets_are_valid(preset):
  config = bench_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:{preset}")
  for case in bench_cases.list_cases(config, {key: {} for key in bench_cases.keys_of(config)}):
    validation.check_config(case.config)


def test_the_runs_of_quick_serve_tuned():
  quick, tuned = (bench_cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:{name}") for name in ("quick", "tuned"))
  of = lambda config: [validation.plain(case.config) for case in bench_cases.list_cases(
      config, {key: {} for key in bench_cases.keys_of(config)})]
  assert tuned.experiment == quick.experiment and of(tuned) == of(quick)


def test_published_rounds_prune_a_fifth_and_are_as_long_as_the_weight_stage():
  config = bench_cases.read_config(f"{ROOT / 'configs' / 'paper' / 'lottery_tickets.py'}:published")
  case, = bench_cases.list_cases(config, {("rocket", 0): methods.changes_of(
      "iterative magnitude pruning", 90, LEARNED._replace(kept=8399, size=1_072_739))})  # means of compare_answer.json
  validation.check_config(case.config)
  steps = jobs.stage_steps(case.config)
  assert set(steps.values()) == {config.weights.num_steps}
  kept, spared, size = 8399, 2867, 1_072_739  # norms and biases of the hourglass of 4 scales
  after = [pruning.count_after(done / (len(steps) - 1), kept, spared, size) - spared for done in range(len(steps))]
  assert np.divide(after[1:], after[:-1]) == pytest.approx(0.8, abs=0.01) and after[-1] == kept - spared


def test_an_image_may_not_come_twice(tmp_path):
  (tmp_path / "twice.py").write_text("""
from configs import benchmark
def get_config():
  config = benchmark.get_config("quick")
  config.benchmark.transfer_crops = (("rocket", (0, 0, 64, 64)),)
  return config
""")
  with pytest.raises(ValueError, match="benchmark.crops and benchmark.transfer_crops hold.*every image once"):
    bench_cases.read_config(str(tmp_path / "twice.py"))


def test_unknown_methods_are_named(tmp_path):
  (tmp_path / "odd.py").write_text("""
from configs import benchmark
def get_config():
  config = benchmark.get_config("quick")
  config.benchmark.methods = ("lottery",)
  return config
""")
  with pytest.raises(ValueError, match="benchmark.methods holds 'lottery'; allowed: learned"):
    bench_cases.read_config(str(tmp_path / "odd.py"))


def test_the_pair_of_views_keeps_the_image_and_splits_the_noise():
  image = np.arange(16.0).reshape(4, 4, 1)
  first, second = zs_n2n.downsample_pair(image)
  np.testing.assert_array_equal(first[..., 0], [[2.5, 4.5], [10.5, 12.5]])
  np.testing.assert_array_equal(second[..., 0], [[2.5, 4.5], [10.5, 12.5]])
  # A network that finds no noise leaves the difference of the views, in both terms.
  nothing = jax.tree.map(np.zeros_like, zs_n2n.init(0, 1))
  rng = np.random.default_rng(0).random((4, 6, 1))
  first, second = zs_n2n.downsample_pair(rng)
  assert float(zs_n2n.objective(nothing, rng)) == pytest.approx(np.mean((first - second) ** 2), rel=1e-5)


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_classical_denoisers_remove_noise(monkeypatch, channels):
  rng = np.random.default_rng(0)
  truth = np.tile(np.linspace(0.3, 0.7, 48)[:, None, None], (1, 48, channels))
  noisy = truth + 0.1 * rng.standard_normal(truth.shape)
  for name in classical.available():
    if name == "ZS-N2N":
      monkeypatch.setattr(zs_n2n, "_STEPS", 100)
    image = classical.denoise(name, noisy, 0.1)
    assert image.shape == truth.shape
    assert np.mean((image - truth) ** 2) < 0.5 * np.mean((noisy - truth) ** 2), name


SMALL = """
from configs import benchmark
METHODS = (
    "learned mask (OES)", "learned mask, plain mean", "dense (deep image prior)", "narrow deep decoder, as many weights as kept",
    "learned mask shuffled inside arrays", "random", "magnitude", "SNIP", "GraSP", "SynFlow",
    "SynFlow, at least as many as can act", "iterative magnitude pruning",
    "iterative magnitude pruning on the clean image (oracle)")
def get_config():
  config = benchmark.get_config("tuned")
  config.update_from_flattened_dict({
      "generator.num_scales": 1, "generator.channels": (8,), "mask.num_steps": 30, "mask.keep_fraction": 0.4,
      "weights.num_steps": 110, "weights.guard_window": 10, "mask.round_steps": 30, "compute.compilation_cache": ""})
  config.benchmark.update(dict(
      methods=METHODS, crops=(("astronaut", (60, 190, 24, 24)), ("coffee", (60, 190, 24, 24))), learning_rates=(0.01, 0.02),
      tuning_crops=(("rocket", (60, 190, 24, 24)),), transfer_crops=(("retina", (600, 600, 24, 24)),),
      transfer_corruptions=benchmark.TRANSFER_CORRUPTIONS[1:], densities=(0.1, 0.5), sigmas=(0.1, 0.3),
      texture_crops=(("brick", (60, 190, 24, 24)),)))
  config.benchmark.problems = tuple(
      (name, (("rocket", (90, 260, 24, 24)), ("retina", (600, 600, 24, 24))) if images == benchmark.COLOUR else
       (("cell", (280, 200, 24, 24)),), changes) for name, images, changes in benchmark.PROBLEMS)
  return config
"""


@pytest.fixture(name="arguments")
def fixture_arguments(tmp_path):
  (tmp_path / "small.py").write_text(SMALL)
  return argparse.Namespace(config=str(tmp_path / "small.py"), folder=str(tmp_path / "runs"),
                            output=str(tmp_path / "record.json"))


@pytest.mark.slow
def test_a_small_comparison_runs_and_is_not_repeated(tmp_path, arguments):
  bench_compare.run_compare(arguments)
  record = json.loads((tmp_path / "record.json").read_text())
  rows = [row for row in record["rows"] if row["image"] == "astronaut"]
  by_method = {row["method"]: row for row in rows}
  config = bench_cases.read_config(arguments.config)
  assert set(config.benchmark.methods) < set(by_method)
  kept = by_method[methods.LEARNED]["kept"]
  for name in ("random", "magnitude", "SNIP", "GraSP", "SynFlow", "learned mask shuffled inside arrays",
               "iterative magnitude pruning", methods.ORACLE):
    assert by_method[name]["kept"] == kept
  assert len({row["measurement psnr"] for row in rows}) == 1  # one measurement for all
  assert (tmp_path / "runs" / "traces.png").is_file() and (tmp_path / "runs" / "traces.csv").is_file()
  assert {row["image"] for row in record["tuning"]} == {"rocket"}
  assert {row["image"] for row in record["tuned"]} == {"astronaut", "coffee"}
  assert len(record["tuning"]) == 2 * len(config.benchmark.methods)
  written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
  bench_compare.run_compare(arguments)
  assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}


@pytest.mark.slow
def test_masks_are_tried_on_the_other_images(tmp_path, arguments):
  bench_transfer.run_transfer(arguments)
  rows = json.loads((tmp_path / "record.json").read_text())["rows"]
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"transfer.{suffix}").stat().st_size > 100
  pairs = [(row["mask from"], row["image"], row["init"]) for row in rows]
  assert len(set(pairs)) == len(pairs) == 2 * 2 * (1 + 2 + 3)
  assert ("astronaut", "coffee", "new") in pairs and ("retina", "astronaut", "of the mask") in pairs
  for image in ("astronaut", "coffee"):  # one measurement for all
    assert len({row["measurement psnr"] for row in rows if row["image"] == image}) == 1


@pytest.mark.slow
def test_inverse_problems_are_solved_by_networks_and_peers(tmp_path, arguments):
  bench_inverse.run_inverse(arguments)
  record = json.loads((tmp_path / "record.json").read_text())
  found = {(row["problem"].split()[0], row["method"]) for row in record["rows"]}
  assert {("half", "biharmonic inpainting"), ("Gaussian", "Richardson-Lucy, 10 iterations"), ("4", "bicubic"),
          ("MRI,", "zero-filled"), ("tomography,", "SART, 2 passes")} <= found
  for problem in ("half", "Gaussian", "4", "MRI,", "tomography,"):
    assert {(problem, methods.LEARNED), (problem, "total variation, told sigma")} <= found
  assert all(row["average psnr"] > 8 for row in record["rows"])
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"inverse.{suffix}").stat().st_size > 100
  assert record["table"].count("\n") == 2 + len(found) and "rocket, retina" in record["table"]


@pytest.mark.parametrize("name, settings", [
    ("inpainting", {}), pytest.param("deblurring", {}, marks=pytest.mark.slow),
    pytest.param("super_resolution", {"operator.factor": 2, "data.source": "camera", "data.crop": (100, 200, 32, 32),
                                      "noise.sigma": 0.05}, marks=pytest.mark.slow),
    ("mri", {"operator.acceleration": 2.0}),
    pytest.param("tomography", {"operator.angles": 20}, marks=pytest.mark.slow)])
def test_total_variation_explains_a_measurement_and_is_ahead_of_the_estimate(name, settings):
  config = benchmark.get_config("small").copy_and_resolve_references().unlock()
  del config.benchmark
  config.update_from_flattened_dict({
      "data.source": "coins", "data.crop": (40, 40, 32, 32), "operator.name": name, "noise.sigma": 0.02, **settings})
  job = jobs.inspect(config)
  measured = members.measure(job)
  given = inverse_peers.Given(job.operator, measured.op_params, measured.values, job.shape, np.zeros(0), job.sigma)
  image = inverse_peers.solve(name, "total variation, told sigma", given)
  assert image.shape == job.shape and image.dtype == np.float32
  residual = np.asarray(job.operator.apply(measured.op_params, image)) - measured.values
  seen = job.operator.seen(measured.op_params)
  residual = residual if seen is None else residual[np.broadcast_to(seen > 0, residual.shape)]
  assert np.std(residual) < 3 * job.sigma * job.operator.unit
  assert metrics.psnr(image, measured.truth) > metrics.psnr(measured.estimate, measured.truth) + 1


def test_total_variation_of_the_identity_is_that_of_chambolle():
  noisy = np.float32(np.clip(np.kron([[0.2, 0.8], [0.6, 0.4]], np.ones((12, 12)))[..., None]
                             + 0.1 * np.random.default_rng(0).standard_normal((24, 24, 1)), 0, 1))
  given = inverse_peers.Given(operators.identity(), (), noisy, noisy.shape, np.zeros(0), 0.1)
  expected = restoration.denoise_tv_chambolle(noisy, weight=0.2, eps=1e-7, max_num_iter=2000, channel_axis=-1)
  close = lambda weight: np.abs(inverse_peers.total_variation(given, weight) - expected).mean()
  assert close(2.0) < 0.7 * min(close(1.0), close(4.0))


@pytest.mark.parametrize("peer", [name for name in inverse_peers.PEERS["deblurring"]])
def test_deconvolution_reflects_the_edges_as_the_operator_does(peer):
  rows, columns = np.meshgrid(*(np.linspace(0.2, 0.8, 32),) * 2, indexing="ij")
  truth = np.float32((rows + columns) / 2)[..., None]
  operator = operators.blur(truth.shape, kernel=kernels.gaussian_kernel(1.6))
  op_params = operator.init(np.random.default_rng(0))
  given = inverse_peers.Given(operator, op_params, np.asarray(operator.apply(op_params, truth)), truth.shape,
                              np.zeros(0), 1e-3)
  assert np.abs(inverse_peers.solve("deblurring", peer, given) - truth).max() < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sparsity", "limits", "noise"])
def test_analyses_write_csv_figure_and_record(tmp_path, arguments, name):
  getattr(bench_analyses, f"run_{name}")(arguments)
  assert json.loads((tmp_path / "record.json").read_text())["table"].count("\n") > 3
  for suffix in ("csv", "png"):
    assert (tmp_path / "runs" / f"{name}.{suffix}").stat().st_size > 100


PAPER = sorted(path for path in (ROOT / "configs" / "paper").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_every_claim_has_its_command_and_its_line(path):
  text = path.read_text(encoding="utf-8")
  command = f"--config=configs/paper/{path.name}"
  assert text.startswith('"""Claim') and command in text
  assert f"({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")
  config = runpy.run_path(str(path))["get_config"]()
  if "benchmark" in config:
    assert bench_cases.read_config(str(path)).experiment == config.experiment
  else:
    assert validation.plain(config)["weights"]["num_steps"] > 0
