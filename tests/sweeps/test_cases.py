"""What a config asks for as a list of cases."""

import numpy as np
import pytest
import tifffile

from oes_jax.sweeps import _cases as cases
import tiny_sweep


def test_settings_are_crossed_without_repeats():
  config = tiny_sweep.config(sweep__mask_sources=("learn", "random", "dense"), sweep__seeds=(0, 1),
                             sweep__keep_fractions=(0.1, 0.5), sweep__kl_weights=(1e-8, 1e-7))
  listed = [case.config for case in cases.expand(config)]
  assert len(listed) == 2 * 2 * (2 * 2 + 2 + 1)
  dense = [c for c in listed if c.mask.source == "dense"]
  assert len(dense) == 4 and all(c.mask.keep_fraction is None for c in dense)
  assert all(not len(values) for c in listed for values in c.sweep.values())
  assert not cases.is_many(tiny_sweep.config(data__source="camera"))
  for key, value in {"sweep__mask_sources": ("learned",), "sweep__seeds": ("a",),
                     "sweep__keep_fractions": (2.0,), "sweep__sigmas": (-1.0,)}.items():
    with pytest.raises(ValueError, match=f"{key.replace('__', '.')} holds .*(allowed|cannot be cast)"):
      cases.expand(tiny_sweep.config(**{key: value}))


def test_members_of_an_ensemble_share_one_measurement():
  listed = cases.expand(tiny_sweep.config(ensemble=3, seed=7))
  assert [(case.ensemble, case.member) for case in listed] == [(i, j) for i in (0, 1) for j in (0, 1, 2)]
  assert len({case.config.seed for case in listed[:3]}) == 3
  assert {case.config.noise.seed for case in listed} == {7}


def test_one_truth_is_of_one_image(tmp_path):
  with pytest.raises(ValueError, match="^data.truth='coins' is one image, and data.source names 2, .*allowed: data.truth of one"):
    cases.expand(tiny_sweep.config(data__source="camera,coins", data__truth="coins"))
  pages = tmp_path / "stack.tif"
  tifffile.imwrite(pages, np.zeros((2, 8, 8), np.uint8), photometric="minisblack")
  assert len(cases.expand(tiny_sweep.config(data__source=str(pages), data__truth="coins", sweep__seeds=(0, 1)))) == 4
