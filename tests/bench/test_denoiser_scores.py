"""Denoisers on the measurements of a benchmark's cases."""

import pathlib

from oes_jax.bench import _cases
from oes_jax.bench import _denoiser_scores
from oes_jax.bench.peers import denoisers

ROOT = pathlib.Path(__file__).parents[2]


def test_classical_denoisers_score_a_measurement_once(tmp_path, monkeypatch):
  config = _cases.read_config(f"{ROOT / 'configs' / 'benchmark.py'}:quick")
  names, given = ["total variation, weight sigma"], []
  denoise = denoisers.denoise
  def counted(name, measurement, sigma):
    given.append(sigma)
    return denoise(name, measurement, sigma)
  monkeypatch.setattr(denoisers, "denoise", counted)
  rows_at = lambda sigma: _denoiser_scores.score_cases(
      config, tmp_path, {key: {"noise.sigma": sigma} for key in _cases.keys_of(config)[:1]}, names)
  first = rows_at(0.1)
  assert rows_at(0.1) == first and given == [0.1]  # kept, with the seconds it took
  assert first[0]["average psnr"] > first[0]["measurement psnr"] > rows_at(0.2)[0]["measurement psnr"]
  assert given == [0.1, 0.2]  # another measurement is another file
  assert all(denoisers.version(name) for name in denoisers.available())
  monkeypatch.setattr(denoisers, "version", lambda name: "next")
  assert rows_at(0.1)[0]["average psnr"] == first[0]["average psnr"] and len(given) == 3
