"""Free memory: that of the container where it has a limit, and what is refused because of it."""

import picture_files
import pytest

from oes_jax.files import _free_memory as memory
from oes_jax.files import _pictures as pictures


def test_a_containers_limit_counts_without_its_cached_files(monkeypatch, tmp_path):
  monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
  for name, text in {"memory.max": "2000000\n", "memory.current": "1900000\n",
                     "memory.stat": "anon 5\nactive_file 200000\ninactive_file 300000\n"}.items():
    (tmp_path / name).write_text(text)
  assert memory.free_memory() == 600_000
  (tmp_path / "memory.max").write_text("max\n")
  assert 2 ** 26 < memory.free_memory() < 2 ** 50


def test_no_more_than_the_free_memory_may_be_declared(monkeypatch):
  monkeypatch.setattr(memory, "free_memory", lambda: 10)
  memory.check_size(10)
  with pytest.raises(ValueError, match="11 bytes; allowed: at most the 10 that are free"):
    memory.check_size(11)


@pytest.mark.parametrize("name", ["png 16-bit RGB", "tiff uint16 RGB", "tiff deflated", "npy float64 2-D"])
def test_a_declared_size_is_compared_before_anything_is_decoded(tmp_path, monkeypatch, name):
  suffix, data, values, _ = picture_files.FILES[name]
  path = picture_files.write(tmp_path, suffix, data)
  monkeypatch.setattr(memory, "free_memory", lambda: values.nbytes)
  pictures.read_picture(path)
  monkeypatch.setattr(memory, "free_memory", lambda: values.nbytes - 1)
  with pytest.raises(ValueError, match=f"data.source='{path}' cannot be read as an image: .* {values.nbytes} bytes; allowed"):
    pictures.read_picture(path)
