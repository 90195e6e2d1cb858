"""--help lists every key of a config with its meaning and default, without a config."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from oes_jax import runs

ROOT = pathlib.Path(__file__).parent.parent


def _keys(config, prefix=""):
  for name, value in config.items():
    if hasattr(value, "items"):
      yield from _keys(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}"


@pytest.mark.parametrize("flag", ["--help", pytest.param("-helpshort", marks=pytest.mark.slow)])
def test_help_lists_every_key_then_the_flags(tmp_path, flag):
  done = subprocess.run([sys.executable, "-m", "oes_jax.main", flag], cwd=tmp_path, capture_output=True, text=True,
                        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
  assert not done.stderr
  assert re.findall(r"^  --config\.(\S+)  \S", done.stdout, re.M) == [
      line.split()[0].removeprefix("--config.") for line in runs.describe_keys("--config.").splitlines()
      if line.startswith("  --")]
  line = "  --config.mask.num_steps  Steps of the mask stage. OES: 60,000 to 80,000. (default 500)"
  assert line.split() in [paragraph.split() for paragraph in re.split(r"\n(?=  --config)", done.stdout)]
  assert done.stdout.index("--config.compute.conv") < done.stdout.index("--workdir")


def test_the_listing_has_every_key_by_section_and_nothing_else():
  listed = runs.describe_keys(width=1000)
  assert sorted(re.findall(r"^  (\S+)  .*\(default .*\)$", listed, re.M)) == sorted(_keys(runs.make_config()))
  assert "weights:\n  weights.num_steps  Steps of the weight stage: the time grows with them. The published OES takes 40,000. (default 1500; preset quick: 600)\n" in listed
