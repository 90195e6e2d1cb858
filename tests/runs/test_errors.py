"""Messages that name arguments come to name the keys of a config."""

import pytest

from oes_jax.runs import _errors


@pytest.mark.parametrize("said, named", [
    ("num_steps=0 is not allowed", "mask.num_steps=0 is not allowed"),
    ("keep_fraction=0.1 keeps none, as source='imp'", "mask.keep_fraction=0.1 keeps none, as mask.source='imp'"),
    ("mask.path='x' and weights.num_steps=1", "mask.path='x' and weights.num_steps=1"),
    ("its_path='x' and paths=1 and width=3", "its_path='x' and paths=1 and width=3"),
    ("the image is small", "data.source='a' is small")])
def test_settings_get_their_section_and_words_their_keys(said, named):
  with pytest.raises(ValueError) as caught, _errors.named("mask", {"the image": "data.source='a'"}):
    raise ValueError(said)
  assert str(caught.value) == named


def test_other_errors_and_no_error_pass():
  with _errors.named("mask"):
    pass
  with pytest.raises(KeyError, match="num_steps="), _errors.named("mask"):
    raise KeyError("num_steps=0")
