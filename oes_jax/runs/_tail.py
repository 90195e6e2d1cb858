"""Whether a guard's choice is of the tail of a run, where the run has ended before the guard could tell."""

from typing import Any, Mapping

from oes_jax.runs._settings import Settings

_TAIL = 20  # of the steps, one in so many
_MINOR = 0.5  # share of a mix below which the guard's choice is not what counts


def remark_tail(settings: Settings, results: Mapping[str, Any]) -> list[str]:
  """Return a line that says so where the guard's choice did not stand until the end of the run.

  Args:
    settings: all settings.
    results: what summary.json says, with "guard" and "combined".
  """
  weights, choice, mixed = settings.weights, results.get("guard"), results.get("combined")
  if not choice or choice["stopped"] or mixed and mixed["share"] < _MINOR:
    return []
  if weights.guard_patience is not None and choice["step"] <= weights.num_steps - weights.num_steps // _TAIL:
    return []  # only the patience that was asked for is longer than the run
  what = {"held_out": "the average still fitted better what was held out; more weights.num_steps may gain",
          "variance": "the outputs varied least there, as they also do once the noise is fitted; weights.guard='held_out' tells these "
                      "apart"}
  return [f"weights.guard={weights.guard!r} chose step {choice['step']} of {weights.num_steps}, in the tail of the run: "
          f"{what[weights.guard]}"]
