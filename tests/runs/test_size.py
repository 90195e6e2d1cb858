"""What the memory allows: the whole image, tiles, or a refusal."""

import jax
import pytest

from oes_jax import backends
from oes_jax import runs
from oes_jax.runs import _memory as memory
from runs import tiny_run


def test_an_image_that_does_not_fit_is_cut_and_one_that_cannot_fit_is_refused(
    tmp_path, monkeypatch, caplog):
  crop = {"data__crop": (0, 0, 300, 512)}
  whole, part = (sum(runs.prepare(tiny_run.config(compute__tile=tile, **crop)).need) for tile in (0, 256))
  assert whole > part
  monkeypatch.setattr(memory, "available_memory", lambda: part)
  job = runs.prepare(tiny_run.config(**crop), str(tmp_path / "run"))
  assert (job.tile, sum(job.need)) == (256, part)
  monkeypatch.setattr(memory, "available_memory", lambda: whole)  # a choice outlives the restart
  assert runs.prepare(tiny_run.config(**crop), str(tmp_path / "run")).tile == 256
  assert runs.prepare(tiny_run.config(**crop)).tile is None
  monkeypatch.setattr(memory, "available_memory", lambda: 0)  # what has begun is never refused
  assert runs.prepare(tiny_run.config(**crop), str(tmp_path / "run")).tile == 256
  assert "GB of memory are needed" in caplog.text
  monkeypatch.setattr(memory, "available_memory", lambda: part - 1)
  for tile in (None, 0, 256):
    with pytest.raises(ValueError, match="GB of memory.*compute.tile"):
      runs.prepare(tiny_run.config(compute__tile=tile, **crop), str(tmp_path / "other"))
  assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name, own", [("skip_hourglass", {"skip_channels": 3}), ("hourglass", {})])
def test_the_skip_channels_of_the_settings_are_those_of_the_generator_that_has_any(name, own):
  generator = runs.prepare(tiny_run.config(generator__name=name, generator__skip_channels=3)).generator
  assert generator.spec == {"name": name, "num_scales": 1, "channels": [8], "image_channels": 1, **own}


@pytest.mark.parametrize("asked, by_backend, made", [
    ("auto", "float32", "float32"), ("auto", "bfloat16", "bfloat16"), ("float32", "bfloat16", "float32")])
def test_the_type_of_the_products_follows_the_table_where_it_is_left_to_it(monkeypatch, asked, by_backend, made):
  monkeypatch.setitem(backends.BACKENDS, "cpu", backends.BACKENDS["cpu"]._replace(dtype=by_backend))
  job = runs.prepare(tiny_run.config(compute__dtype=asked))
  text = str(jax.make_jaxpr(job.generator.apply)(job.generator.init(jax.random.key(0))[0],
                                                job.generator.sample_input(jax.random.key(1))))
  assert ("bf16" in text) == (made == "bfloat16")
