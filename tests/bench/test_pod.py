"""Steps compiled for many devices, of which none waits for another."""

import os
import subprocess
import sys
import textwrap

import jax
import pytest

from oes_jax import parallel
from oes_jax.bench import _pod
from oes_jax.bench import _timed_steps

_ON_256_DEVICES = """
    import jax
    from oes_jax import parallel
    from oes_jax.bench import _pod
    def rows(devices, stages):
      return list(_pod.describe_steps(parallel.image_mesh(jax.devices()[:devices]), stages, size=16, convs=["gemm"],
                                      counts=[1, 2], num_scales=1))
    eight, many = (rows(devices, ["mask", "recorrupted"]) for devices in (8, 256))
    assert len(many) == 4 and not any(row["collectives"] for row in eight + many)
    for few, row in zip(eight, many):  # a device does the same work, however many there are
      assert few["gflop a step"] == row["gflop a step"] > 0
      assert few["gigabytes held"] == row["gigabytes held"]
    for one, two in zip(many[::2], many[1::2]):  # and twice as much for two images
      assert 1.9 < two["gflop a step"] / one["gflop a step"] < 2.05
    summed = jax.jit(lambda x: x - x.sum(0)).lower(parallel.put(parallel.image_mesh(), jax.numpy.ones((256, 3))))
    assert _pod.collectives_in(summed.compile().as_text())  # the search can find one
"""


@pytest.mark.slow
def test_a_step_costs_every_device_the_same_and_waits_for_none():
  environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "256"}
  done = subprocess.run([sys.executable, "-c", textwrap.dedent(_ON_256_DEVICES)], env=environment,
                        capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mask", "recorrupted"])
def test_a_lowered_step_holds_no_collective(kind):
  lowered = _timed_steps.lower_steps(kind, 16, parallel.image_mesh(jax.devices()[:1]), count=2, num_scales=1)
  assert not _pod.collectives_in(lowered.as_text().replace("_", "-"))


def test_a_slice_that_is_not_to_be_had_is_named():
  with pytest.raises(ValueError, match="--topology='v5e:7x9' is not to be had: .*allowed: the name of a slice"):
    _pod._mesh_of("v5e:7x9")
