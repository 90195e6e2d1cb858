"""Settings: ranges, types, choices, optional values, prefixes, and what help and listings say."""

import copy
import dataclasses
import inspect
import pickle
import re

import pytest

from oes_jax import settings


@dataclasses.dataclass(frozen=True)
class _Stage(settings.Settings):
  """Settings of a stage."""
  steps: int = settings.setting(5, "Steps of the stage.", allowed="1 or more", test=lambda v: v >= 1)
  share: float | None = settings.setting(None, "Share that is kept.", kind=float, test=lambda v: 0 < v <= 1)
  rule: str = settings.setting("slow", "Pace.", choices={"slow": 1, "fast": 2})
  guard: str | None = settings.setting(None, "Guard.", kind=str, choices=lambda: ("even", "odd"))
  flag: bool = settings.setting(True, "Whether it is drawn.")
  crop: tuple | None = settings.setting(
      None, "Corner.", kind=tuple, allowed="(top, left), or None", test=lambda v: len(v) == 2)
  hook: object = None

  def check(self, prefix=""):
    super().check(prefix)
    if self.guard == "even" and self.steps % 2:
      raise ValueError(f"{prefix}guard='even' needs {prefix}steps={self.steps} to be even.")


SAID = [
    ({"steps": 0}, "steps=0 is not allowed; allowed: 1 or more."),
    ({"steps": 2.0}, "steps=2.0 is not allowed; allowed: 1 or more."),
    ({"steps": True}, "steps=True is not allowed; allowed: 1 or more."),
    ({"steps": None}, "steps=None is not allowed; allowed: 1 or more."),
    ({"share": float("nan")}, "share=nan is not allowed; allowed: a number, or None."),
    ({"share": "half"}, "share='half' is not allowed; allowed: a number, or None."),
    ({"rule": "medium"}, "rule='medium' is unknown; allowed: slow, fast."),
    ({"rule": None}, "rule=None is unknown; allowed: slow, fast."),
    ({"guard": "prime"}, "guard='prime' is unknown; allowed: even, odd, or None."),
    ({"flag": 1}, "flag=1 is not allowed; allowed: True or False."),
    ({"crop": (1,)}, "crop=(1,) is not allowed; allowed: (top, left), or None."),
    ({"crop": [1, 2]}, "crop=[1, 2] is not allowed; allowed: (top, left), or None."),
    ({"guard": "even"}, "guard='even' needs steps=5 to be even."),
    ({"steps": 2 ** 31}, "steps=2147483648 is not allowed; allowed: 1 or more; whole numbers below 2^31, others below 3e38."),
    ({"share": 1e39}, "share=1e+39 is not allowed; allowed: a number, or None; whole numbers below 2^31, others below 3e38."),
    ({"crop": (1, 10 ** 30)}, f"crop=(1, {10 ** 30}) is not allowed; allowed: (top, left), or None; whole numbers below 2^31, others "
                              "below 3e38."),
    ({"crop": (1, float("nan"))}, "crop=(1, nan) is not allowed; allowed: (top, left), or None."),
    ({"crop": (1, True)}, "crop=(1, True) is not allowed; allowed: (top, left), or None."),
    ({"rule": "x" * 400}, "rule=" + repr("x" * 400)[:300] + " ... is unknown; allowed: slow, fast."),
]


@pytest.mark.parametrize("given, said", SAID)
def test_a_value_out_of_range_is_named_with_what_is_allowed(given, said):
  with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
    _Stage(**given)
  with pytest.raises(ValueError, match=f"^{re.escape(said.split(' ')[0])}"):
    dataclasses.replace(_Stage(), **given)


def test_values_in_range_and_none_where_it_is_optional_pass():
  made = _Stage(steps=4, share=1, rule="fast", guard="even", flag=False, crop=(0, 0), hook=print)
  assert dataclasses.astuple(made) == (4, 1, "fast", "even", False, (0, 0), print)
  assert _Stage() == _Stage(share=None, guard=None, crop=None) and hash(_Stage()) == hash(_Stage())


def test_an_unknown_name_comes_with_the_nearest():
  with pytest.raises(TypeError, match=r"^_Stage has no setting 'step' \(did you mean 'steps'\?\); allowed: steps, share, rule"):
    _Stage(step=4)
  with pytest.raises(TypeError, match=r"^_Stage has no setting 'colour'; allowed: steps"):
    dataclasses.replace(_Stage(), colour=3)
  assert list(inspect.signature(_Stage).parameters)[0] == "steps"
  assert copy.deepcopy(_Stage(steps=3)) == pickle.loads(pickle.dumps(_Stage(steps=3))) == _Stage(3)
  assert settings.nearest("num_steps", ["a.num_steps", "b.num_steps", "b.rate"]) == " (did you mean 'a.num_steps' or 'b.num_steps'?)"
  assert settings.nearest("weight.num_steps", ["mask.num_steps", "weights.num_steps"]) == " (did you mean 'weights.num_steps'?)"


def test_a_section_is_read_and_its_messages_have_the_prefix():
  section = {"steps": 6, "share": 0.5, "rule": "slow", "guard": "even", "flag": True, "crop": None, "others": "key"}
  assert _Stage.from_section(section) == _Stage(steps=6, share=0.5, guard="even")
  with pytest.raises(ValueError, match=r"^stage\.guard='even' needs stage\.steps=5 to be even"):
    _Stage.from_section({**section, "steps": 5}, "stage.")
  with pytest.raises(ValueError, match=r"^stage\.flag=None is not allowed"):
    _Stage.from_section({**section, "flag": None}, "stage.")
  with pytest.raises(KeyError, match="steps"):
    _Stage.from_section({"share": 0.5})


def test_what_a_setting_allows_can_be_asked_for():
  words = [settings.allowed(_Stage, name) for name in ("steps", "rule", "guard", "flag", "none")]
  assert words == ["1 or more", "slow, fast", "even, odd, or None", "True or False", None]


def test_help_and_listings_say_the_meaning_once_and_leave_out_what_is_no_setting():
  assert "Settings of a stage.\n\n  Attributes:\n    steps: Steps of the stage.\n    share: Share" in _Stage.__doc__
  listed = settings.describe(_Stage, "stage.")
  assert listed[0] == ("stage.steps", "Steps of the stage. (default 5)")
  assert ", ".join(name for name, _ in listed) == (
      "stage.steps, stage.share, stage.rule, stage.guard, stage.flag, stage.crop")
