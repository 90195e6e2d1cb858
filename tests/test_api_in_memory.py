"""The Python call without a workdir: nothing is touched but arrays, and every part of it may be one's own."""

import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oes_jax
from oes_jax import fitting
from oes_jax import generators
from oes_jax import noise
from oes_jax import operators
from oes_jax.fitting import _program
from oes_jax.fitting import _restore_problems

SHAPE = (20, 24)
RANDOM = {"mask.source": "random", "mask.keep_fraction": 0.5}
FEW = {"weights.num_steps": 4}
# A small network of the package, for images of several shapes.
TINY = {**FEW, "generator.name": "deep_decoder", "generator.num_scales": 1, "generator.channels": (4, 5)}

# Both stages are fed with a measurement made anew, and the noise is known.
RECORRUPTED = {"generator.name": "skip_hourglass", "generator.num_scales": 1, "generator.channels": (4,), "mask.source": "dense",
               "weights.num_steps": 4, "compute.chunk_steps": 4, "fit.sigma": 0.1}


def _network(*image_shape):
  """Return a small network of one's own: a linear map of four channels of its input."""
  def init(key):
    return {"first": {"kernel": jax.random.normal(key, (4, 6))},
            "last": {"kernel": jax.random.normal(jax.random.fold_in(key, 1), (6, image_shape[2]))}}
  def apply(params, net_input):
    return jax.nn.sigmoid(jnp.tanh(10 * net_input @ params["first"]["kernel"]) @ params["last"]["kernel"])
  return generators.from_apply(init, apply, net_input_shape=(*image_shape[:2], 4))


OWN = _network(*SHAPE, 1)


def _image(seed=0, shape=SHAPE, dtype=np.uint8):
  return (200 * np.random.default_rng(seed).random(shape)).astype(dtype)


def _restore(measurement, **options):
  told = {"generator": OWN, "progress": False, "settings": {**RANDOM, **FEW}, **options}
  return oes_jax.restore(measurement, **told)


def _without_mask(measurement, **options):
  """Restore with every weight kept, and few steps."""
  return _restore(measurement, **{"mask": None, "settings": FEW, **options})


@pytest.fixture(name="compiled")
def fixture_compiled(monkeypatch):
  """Names of the stages that are compiled from now on, nothing being left from calls before."""
  names, compile_stage = [], _program.compile_stage
  def counted(stage, *args, **options):
    names.append(stage.name)
    return compile_stage(stage, *args, **options)
  monkeypatch.setattr(_program, "compile_stage", counted)
  _restore_problems._PROGRAMS.clear()
  return names


def _run(code, folder, **environment):
  """Run Python code in an empty folder, which is that of temporary files and the user's too; return what is printed."""
  root = str(pathlib.Path(__file__).parent.parent)
  kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XDG_", "OES_"))}
  done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
                        env={**kept, "PYTHONPATH": f"{root}:{root}/tests", "PYTHONDONTWRITEBYTECODE": "1",
                             "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "HOME": str(folder), "TMPDIR": str(folder),
                             **environment})
  assert done.returncode == 0, done.stderr
  return done.stdout + done.stderr


@pytest.mark.slow
def test_it_writes_and_prints_nothing_and_an_interrupt_is_a_keyboard_interrupt(tmp_path):
  code = """
import os, signal, warnings
import numpy as np
import test_api_in_memory as case
from oes_jax import fitting, operators
warnings.filterwarnings("ignore", "the generator has no graph")  # which is said of the network below
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
image = case._image()
case.oes_jax.restore([image, image[::-1]], truth=[image, image[::-1]], generator=None, ensemble=2, progress=False, settings={
    **case.TINY, "mask.num_steps": 2, "mask.keep_fraction": 0.9, "output.figures": True})
iterate = fitting.Program.iterate
def interrupted(*args):
  for step in iterate(*args):
    os.kill(os.getpid(), signal.SIGINT)
    yield step
fitting.Program.iterate = interrupted
try:
  case._restore(image)
except KeyboardInterrupt:
  pass
else:
  raise AssertionError("not interrupted")
"""
  assert _run(code, tmp_path) == ""
  assert not list(tmp_path.iterdir())


def test_it_changes_no_setting_of_jax_and_handles_no_signal(monkeypatch):
  def state():
    handled = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return dict(jax.config.values), handled, list(logging.root.handlers), logging.root.level
  inside, iterate = [], _program.Program.iterate
  def looked_at(*args):
    for step in iterate(*args):
      inside.append(state())
      yield step
  monkeypatch.setattr(_program.Program, "iterate", looked_at)
  before = state()
  _restore(_image())
  assert inside and all(seen == before for seen in [*inside, state()])


@pytest.mark.slow
def test_a_list_compiles_once_a_stage_and_shape_and_a_second_call_compiles_nothing(compiled):
  learned = {"mask": oes_jax.LearnMask(num_steps=3, keep_fraction=0.6), "settings": TINY, "generator": None}
  images = [_image(0), _image(1), _image(2, (16, 20)), _image(3)]
  together = _restore(images, **learned)
  assert compiled == ["mask", "weights"] * 2  # of three images in one batch, and of one
  for image, restored in zip(images, together):
    assert restored.image.shape == image.shape and restored.traces["weights"]["loss"].shape == (4,)
  del compiled[:]
  events = []
  listen = lambda name, seconds, **_: events.append(name) if "backend_compile" in name else None
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    again = _restore(images, **learned)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert not compiled and not events
  for one, other in zip(together, again):
    np.testing.assert_array_equal(one.image, other.image)


def test_an_image_is_the_same_alone_and_in_a_list():
  images = [_image(0), _image(1), _image(2, (16, 20))]
  for image, restored in zip(images[:2], _restore(images[:2])):
    alone = _restore(image)
    np.testing.assert_allclose(restored.traces["weights"]["loss"], alone.traces["weights"]["loss"], rtol=1e-5)
    assert np.abs(restored.image.astype(int) - alone.image).max() <= 1
  told = {"generator": None, "settings": {**TINY, **RANDOM}}
  for image, restored in zip(images[1:], _restore(images[1:], **told)):  # each is a batch of its own
    np.testing.assert_array_equal(restored.image, _restore(image, **told).image)


def test_an_ensemble_is_the_mean_of_other_draws():
  image = _image(dtype=np.float64)
  both = _restore(image, ensemble=2, truth=image)
  seeds = [_restore(image, seed=seed).image for seed in (0, 1_000_003)]
  np.testing.assert_allclose(both.image, np.mean(seeds, 0), rtol=1e-5)
  np.testing.assert_allclose(both.spread, np.std(seeds, 0, ddof=1), rtol=1e-2, atol=1e-2)
  assert both.summary["members"] == 2 and both.spread.shape == SHAPE
  error = np.mean((both.image - image) ** 2) / np.diff(both.summary["limits"]) ** 2
  assert both.summary["quality"]["average"]["psnr"] == pytest.approx(-10 * np.log10(error[0]), abs=0.3)  # clipped


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_an_array_comes_back_in_its_layout_type_and_range(dtype, channels):
  image = _image(0, (*SHAPE, *channels), np.float64)
  image = image > 100 if dtype is bool else (20 * image if dtype != np.uint8 else image).astype(dtype)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # some values are clipped
    restored = _without_mask(image, generator=_network(*SHAPE, *(channels or (1,))), settings={"weights.num_steps": 30})
  for found in (restored.image, restored.last):
    assert found.shape == image.shape and found.dtype == dtype
    assert np.mean(found) == pytest.approx(np.mean(image), rel=0.5)


def test_channels_that_go_first_come_back_first():
  image, clean = _image(shape=(*SHAPE[:2], 3), dtype=np.float32), _image(1, shape=(*SHAPE[:2], 3), dtype=np.float32)
  options = {"generator": None, "ensemble": 2}
  last = _restore(image, truth=clean, settings={**RANDOM, **TINY}, **options)
  first = _restore(np.moveaxis(image, -1, 0), truth=np.moveaxis(clean, -1, 0),
                   settings={**RANDOM, **TINY, "data.channel_axis": 0}, **options)
  for name in ("image", "last", "spread"):
    np.testing.assert_array_equal(getattr(first, name), np.moveaxis(getattr(last, name), -1, 0))
  assert first.summary["quality"] == last.summary["quality"]
  with pytest.raises(ValueError, match="^data.channel_axis=0 does not go with an operator of your own"):
    _restore(image, operator=lambda image: image, settings={**FEW, "data.channel_axis": 0})


def test_the_truth_is_only_scored():
  image = _image()
  blind, scored = _restore(image), _restore(image, truth=_image(1))
  np.testing.assert_array_equal(blind.image, scored.image)
  assert blind.summary["quality"] is None and "psnr" not in blind.traces["weights"]
  quality, trace = scored.summary["quality"], scored.traces["weights"]["psnr"]
  assert quality["last"]["psnr"] == pytest.approx(trace[-1], rel=1e-4)
  assert quality["best"] == {"psnr": pytest.approx(trace.max()), "step": trace.argmax() + 1}
  one, other = _restore([image, image], truth=[None, _image(1)])
  assert one.summary["quality"] is None and other.summary["quality"] == scored.summary["quality"]


@pytest.mark.parametrize("own", [False, True])
def test_what_lies_under_a_mask_is_never_looked_at(own):
  lost = np.random.default_rng(1).random(SHAPE) < 0.3
  seen = operators.inpainting((*SHAPE, 1), mask=~lost) if own else {"name": "inpainting", "mask": ~lost}
  restored = []
  for value in (np.nan, 1e6):
    image = _image(dtype=np.float32)
    image[lost] = value
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      restored.append(_without_mask(image, operator=seen))
  np.testing.assert_array_equal(restored[0].image, restored[1].image)
  assert np.isfinite(restored[0].image).all() and restored[0].image.max() < 300


def _scans():
  """Return {operator: (arrays of a scan, shape of the image)}."""
  coils = operators.simulated_coils(SHAPE, 2)
  space = np.asarray(operators.centred_fft(coils * _image(dtype=np.float32)))
  angles = np.linspace(0, 180, 9, endpoint=False)
  turned = operators.tomography((*SHAPE, 1), angles=angles)
  sinogram = np.asarray(turned.bind(turned.init(None))(_image(dtype=np.float32)[..., None]))
  return {"mri": ({"kspace": space, "coil_maps": coils}, (*SHAPE, 2)),
          "tomography": ({"sinogram": sinogram, "angles": angles, "shape": SHAPE}, (*SHAPE, 1))}


def restore_scans():
  """Restore a scan of every kind; return the types of the losses."""
  kinds = set()
  for operator, (scan, shape) in _scans().items():
    restored = _without_mask([scan, scan], operator=operator, generator=_network(*shape),
                             settings={"weights.num_steps": 60})
    for one in restored:
      assert one.image.shape == SHAPE and one.image.dtype == np.float32
      assert 50 < one.image.mean() < 150  # in the units of the scanned image, whose mean is 100
      losses = one.traces["weights"]["loss"]
      assert losses[-1] < losses[0]
      kinds.add(str(losses.dtype))
  return kinds


@pytest.mark.slow
def test_scans_are_restored_in_their_units():
  assert restore_scans() == {"float32"}


@pytest.mark.slow
def test_scans_are_restored_with_64_bits(tmp_path):
  assert _run("import test_api_in_memory as case\nassert case.restore_scans() == {'float64'}", tmp_path,
              JAX_ENABLE_X64="1") == ""


def test_an_operator_of_ones_own_is_a_function_or_made_of_one():
  image = _image(dtype=np.float32) / 255
  told = {"settings": {"weights.num_steps": 20}}
  expected = _without_mask(image, settings={**told["settings"], "data.range": (0.0, 1.0)}).image
  same = lambda image: image
  np.testing.assert_allclose(_without_mask(image, operator=same, **told).image, expected, atol=1e-5)
  np.testing.assert_allclose(_without_mask(image[..., None], operator=same, **told).image[..., 0], expected, atol=1e-5)
  spectrum = operators.from_function(lambda image: jnp.fft.fft2(image, axes=(0, 1), norm="ortho"), (*SHAPE, 1))
  measured = np.fft.fft2(image, norm="ortho")
  for values in (measured, measured[..., None]):
    restored = _without_mask(values, operator=spectrum, truth=image, **told)
    np.testing.assert_allclose(restored.image.reshape(SHAPE), expected, atol=2e-3)  # a unitary transform fits alike
  assert restored.image.shape == (*SHAPE, 1) and restored.summary["limits"] == (0, 1)
  rows = operators.from_function(lambda image: jnp.mean(image ** 2, 1), (*SHAPE, 1))
  restored = _without_mask(np.mean(image[..., None] ** 2, 1), operator=rows, **told)
  assert restored.image.shape == SHAPE and np.diff(restored.traces["weights"]["loss"]).mean() < 0


@pytest.mark.slow
def test_operators_of_the_package_are_taken_as_objects():
  image = _image()
  blur = {"name": "deblurring", "kernel": np.ones((3, 3))}
  named = _without_mask(image, operator=blur)
  given = _without_mask(image, operator=operators.blur((*SHAPE, 1), kernel=np.ones((3, 3)) / 9))
  np.testing.assert_array_equal(named.image, given.image)
  (scan, _), coils = _scans()["mri"], operators.simulated_coils(SHAPE, 2)
  told = {"generator": _network(*SHAPE, 2), "settings": {**FEW, "data.range": (0.0, 400.0)}}
  named = _without_mask(scan, operator="mri", **told)
  mri = operators.mri((*SHAPE, 2), coils=coils, sampling=np.ones(SHAPE))
  space = np.stack([scan["kspace"].real, scan["kspace"].imag], -1) / 400
  of_ones = np.asarray(mri.bind(mri.init(None))(np.ones((*SHAPE, 2), np.float32)))
  given = _without_mask((space + of_ones) / 2, operator=mri, generator=told["generator"])  # of the image in (0, 1)
  np.testing.assert_allclose(400 * given.image, named.image, rtol=1e-3, atol=0.05)
  simulated = _without_mask(image, operator=operators.downsampling((*SHAPE, 1), factor=2),
                            settings={**FEW, "operator.simulate": True, "noise.sigma": 0.01})
  assert simulated.image.shape == SHAPE and simulated.summary["quality"]["average"]["psnr"] > 0


def test_a_loss_of_ones_own():
  image = _image()
  expected = _without_mask(image)
  for loss in (noise.Noise("gaussian"), lambda predicted, measured: (predicted - measured) ** 2,
               lambda predicted, measured: jnp.mean((predicted - measured) ** 2)):
    np.testing.assert_allclose(_without_mask(image, loss=loss).traces["weights"]["loss"],
                               expected.traces["weights"]["loss"], rtol=1e-5)
  other = _without_mask(image, loss=lambda predicted, measured: jnp.abs(predicted - measured))
  assert other.traces["weights"]["loss"][0] > 2 * expected.traces["weights"]["loss"][0]


def test_an_optimiser_of_ones_own():
  still = oes_jax.TrainWeights(num_steps=3, optimizer=optax.sgd(0.0))
  losses = _without_mask(_image(), weights=still, settings={}).traces["weights"]["loss"]
  assert losses.shape == (3,) and np.ptp(losses) == 0
  moving = oes_jax.TrainWeights(num_steps=3, optimizer=optax.sgd(0.1), guard="variance", guard_window=2)
  restored = _without_mask(_image(), weights=moving, settings={"output.image": "guarded"})
  assert np.ptp(restored.traces["weights"]["loss"]) > 0
  np.testing.assert_array_equal(restored.image, restored.guarded.output)


def test_masks_are_learned_given_or_none():
  image = _image()
  dense = _without_mask(image)
  assert all(leaf.all() for leaf in jax.tree.leaves(dense.mask)) and set(dense.traces) == {"weights"}
  kernels = {"first": {"kernel": np.eye(4, 6)}, "last": {"kernel": np.ones((6, 1))}}
  given = _restore(image, mask=kernels, settings=FEW)
  jax.tree.map(np.testing.assert_array_equal, given.mask, kernels)
  assert not np.any(given.params["first"]["kernel"][np.eye(4, 6) == 0]) and (given.image != dense.image).any()
  learned = _restore(image, mask=oes_jax.LearnMask(num_steps=3, keep_fraction=0.4, learning_rate=0.1), settings=FEW)
  assert learned.traces["mask"]["kl"].shape == (3,) and learned.summary["mask"]["kept"] == int(0.4 * 30)
  taken_over = _restore(image, mask=learned.mask, settings=FEW)
  np.testing.assert_array_equal(taken_over.image, learned.image)
  with pytest.raises(ValueError, match="^mask holds other values than 0 and 1"):
    _restore(image, mask=jax.tree.map(lambda leaf: 0.5 * leaf, kernels), settings=FEW)


def test_one_image_that_fails_leaves_what_the_others_gave():
  def brittle(predicted, measured):
    return jnp.where(jnp.mean(measured) > 0.5, jnp.nan, (predicted - measured) ** 2)
  images = [_image(), _image() + np.uint8(55), _image(1)]
  with pytest.raises(fitting.Diverged, match=r"^measurement\[1\]: the loss is not finite.*No step came before.*scale them") as caught:
    _without_mask(images, loss=brittle)
  assert caught.value.restorations[1] is None and caught.value.failures[0] is None
  for number in (0, 2):
    found, alone = caught.value.restorations[number], _without_mask(images[number], loss=brittle)
    assert found.image.dtype == np.uint8 and np.abs(found.image.astype(int) - alone.image).max() <= 1
  with pytest.raises(fitting.Diverged, match="^measurement: the loss is not finite"):
    _without_mask(images[1], loss=brittle, ensemble=2)


def test_warnings_come_once_and_name_the_measurement_and_the_callers_line():
  hot = 1000 + np.arange(480, dtype=np.uint16).reshape(SHAPE)
  hot[7, 7] = 50000
  with pytest.warns(UserWarning) as caught:
    _without_mask([hot, _image()], ensemble=2)
  said = [str(one.message) for one in caught]
  assert [text.partition(" %")[0] for text in said if "lost detail" not in text] == ["measurement[0]: 0.208"]
  assert [text.partition(":")[0] for text in said if "lost detail" in text] == ["measurement[0]", "measurement[1]"]
  assert caught[0].filename == __file__
  empty = {"first": {"kernel": np.zeros((4, 6))}, "last": {"kernel": np.ones((6, 1))}}
  with pytest.warns(UserWarning) as caught:
    _restore(_image(), mask=empty, settings=FEW, ensemble=2)
  graph, collapse = caught
  assert str(graph.message).startswith("the generator has no graph of its channels: nothing is compacted")
  assert str(collapse.message).startswith("the mask of measurement has COLLAPSED: ") and collapse.filename == __file__
  with pytest.warns(UserWarning) as caught:
    restored = _restore(_image(), generator=None, settings={**TINY, **RANDOM, "mask.keep_fraction": 0.05})
  assert len(caught) == 1 and len(restored.summary["mask"]["collapse"]) > 1
  assert "; ".join(restored.summary["mask"]["collapse"]) in str(caught[0].message)


def test_a_callback_is_told_how_far_every_measurement_has_come():
  told = []
  restored, _ = _restore([_image(), _image(1)], callback=told.append)
  assert [(one.name, one.stage, one.step, one.share) for one in told] == [
      (f"measurement[{number}]", "weights", step, step / 4) for step in (0, 4) for number in (0, 1)]
  np.testing.assert_array_equal(np.uint8(np.rint(255 * told[2].image[..., 0])), restored.image)
  np.testing.assert_array_equal(np.uint8(np.rint(255 * told[0].image[..., 0])), _image())
  assert told[0].expected_psnr is None


@pytest.mark.slow
def test_where_the_noise_is_known_a_callback_is_told_what_is_expected():
  told, images = [], [_image(0), _image(1)]
  restored = oes_jax.restore(images, settings=RECORRUPTED, callback=told.append, progress=False)
  assert {one.name for one in told} == {"measurement[0]", "measurement[1]"}
  assert [one.step for one in told if one.name == "measurement[1]"] == [0, 2, 4]
  assert told[0].share == 0 and told[-1].share == 1 and all(one.stage == "weights" for one in told)
  assert all(one.image.shape == (*SHAPE, 1) and np.isfinite(one.expected_psnr) for one in told)
  for one, same in zip(restored, oes_jax.restore(images, settings=RECORRUPTED, progress=False)):
    np.testing.assert_array_equal(one.image, same.image)


def test_a_restoration_is_a_line_and_a_figure():
  image = _image()
  restored = _restore(image, truth=image)
  assert re.fullmatch(r"Restored\(20x24 uint8, PSNR inf -> [\d.]+ dB, \d+ s, output average\)", repr(restored))
  np.testing.assert_array_equal(restored.before, image)
  titles = [axis.get_title().partition("\n")[0] for axis in restored.plot(image).axes if axis.get_title()]
  assert titles == ["measurement", "restored", "truth", "before \N{MINUS SIGN} after", "absolute error"]
  with pytest.raises(ValueError, match=r"^truth has shape \(3,\); allowed: that of the image, \(20, 24\)"):
    restored.plot(np.ones(3))
  with pytest.raises(ValueError, match="^before is None, and plot draws it"):
    restored._replace(before=None).plot()


def test_one_bar_counts_the_steps_of_all_stages_and_batches(capsys):
  _restore(_image(), mask=oes_jax.LearnMask(keep_fraction=0.5, num_steps=3), settings=FEW, progress=True)
  said = capsys.readouterr()
  assert not said.out and said.err.count("\n") == 1 and "7/7" in said.err and "mask stage" in said.err


def test_nothing_is_said_in_a_folder_without_progress(tmp_path, capsys):
  oes_jax.restore(_image(), settings={**TINY, "mask.source": "dense", "output.figures": False, "compute.compilation_cache": ""},
                  workdir=str(tmp_path), progress=False)
  assert capsys.readouterr() == ("", "")
  with pytest.raises(ValueError, match="^callback is an object of your own, which a workdir cannot keep"):
    oes_jax.restore(_image(), workdir=str(tmp_path), callback=print)


def test_a_stack_is_a_stack_again_in_one_range():
  dark = np.random.default_rng(0).random(SHAPE).astype(np.float32)
  stack = np.stack([dark, 5 + 3 * dark])
  told = {"generator": OWN, "settings": {**RANDOM, **FEW}, "progress": False}
  restored = oes_jax.restore_stack(stack, truth=stack, **told)
  assert restored.image.shape == stack.shape and restored.image.dtype == stack.dtype and restored.spread is None
  ranges = {tuple(page.summary["limits"]) for page in restored.pages}
  (low, high), = ranges
  assert -0.5 < low < 0.2 and 7.5 < high < 8.5
  alone = _restore(stack[1], settings={**RANDOM, **FEW, "data.range": (low, high)}).image
  np.testing.assert_allclose(restored.image[1], alone, rtol=1e-4)
  assert repr(restored).startswith("RestoredStack(2 pages; the first one: Restored(20x24 float32")
  for wrong, said in [({"stack": dark}, r"^stack has shape \(20, 24\); allowed: \[pages, H, W\]"),
                      ({"stack": stack, "truth": dark}, r"^truth has shape \(20, 24\); allowed: that of the stack, \(2, 20, 24\)")]:
    with pytest.raises(ValueError, match=said):
      oes_jax.restore_stack(**wrong, **told)
