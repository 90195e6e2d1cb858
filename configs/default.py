"""Every key of a run, with its default. Experiment files change only what differs.

The meaning, default and range of a key stand once, in the settings of oes_jax: `mask` in fitting.LearnMask and
runs.MaskSettings, `weights` in fitting.TrainWeights, `operator` in operators.OperatorSettings, `noise` in
noise.NoiseSettings, `generator` in generators.GeneratorSettings, and `data`, `sweep`, `output`, `checkpoint`, `compute`
and the keys outside all sections in oes_jax/runs/_settings.py. This lists them all:

  python -m oes_jax.main --help

Override any key on the command line: --config.weights.num_steps=3000. A key whose default is None is automatic until it
is set.
"""

from oes_jax import runs


def get_config():
  """Return the defaults, the two stages of OES, locked: an unknown key raises and names the nearest known one."""
  return runs.make_config(preset="oes")
