"""The examples in the docstrings of public names run, and the names that are met first have one."""

import doctest
import importlib

import pytest

import oes_jax

MODULES = ("fitting", "generators", "inspection", "intensity", "masks", "metrics", "noise", "operators", "parallel", "random",
           "recorruption", "runs", "sliding_dct", "sweeps", "tiles")
REQUIRED = ("restore", "inspect", "learn_mask", "train_weights", "Problem", "LearnMask", "TrainWeights", "Restoration",
            "generators.from_apply", "generators.hourglass", "operators.from_function", "runs.run", "masks.threshold",
            "noise.gaussian", "metrics.psnr", "fitting.Recorruption")


def _public():
  """Return {name behind "oes_jax.": object} of all that oes_jax and its modules export."""
  modules = {name: importlib.import_module(f"oes_jax.{name}") for name in MODULES}
  found = {name: getattr(oes_jax, name) for name in dir(oes_jax) if not name.startswith("_") and name not in modules}
  for module, exported in modules.items():
    found |= {f"{module}.{name}": value for name, value in vars(exported).items()
              if not name.startswith("_") and getattr(value, "__module__", "").startswith("oes_jax.")}
  return found


PUBLIC = _public()


def _examples(value):
  """Return the examples in the docstring of an object, and of its methods."""
  if getattr(value, "__doc__", None) is None:
    return []
  return doctest.DocTestFinder().find(value, "example", module=False, globs={})


# By the object, as a name may be exported twice.
EXAMPLES = {id(value): (name, test) for name, value in PUBLIC.items() for test in _examples(value) if test.examples}


SLOW = ("restore", "runs.run", "fitting.Recorruption", "generators.hourglass")  # whole restorations, as other tests have many


@pytest.mark.parametrize("test", [pytest.param(test, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
                                  for name, test in EXAMPLES.values()])
def test_an_example_runs(test):
  said = []
  runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
  runner.run(test, out=said.append)
  assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_met_first_has_an_example(name):
  assert any(test.examples for test in _examples(PUBLIC[name])), f"oes_jax.{name} has none"


def test_all_that_has_an_example_is_found():
  assert len(EXAMPLES) >= len(REQUIRED)
  assert {id(PUBLIC[name]) for name in REQUIRED} <= set(EXAMPLES)


def test_an_example_that_is_wrong_fails():
  def wrong():
    """Example:
      >>> 1 + 1
      3
    """
  test, = _examples(wrong)
  with pytest.raises(AssertionError, match=r"Expected:\n +3\n +Got:\n +2"):
    test_an_example_runs(test)
