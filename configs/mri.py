"""Restore an MR image from a quarter of its k-space. By default of an MR slice (64 x 64 pixels, which pydicom ships),
four simulated coils and noise of 3 % in the image.

  python -m oes_jax.main --config=configs/mri.py
  python -m oes_jax.main --config=configs/mri.py --config.data.source=file1000.h5@12  # a slice of fastMRI; or .npz, .mat
"""

from oes_jax import runs


def get_config(preset: str = "quick"):
  """Return the config of a preset, preview, quick, best, oes or paper; operator.acceleration, centre and coils say what is measured."""
  config = runs.make_config("mri", preset)
  config.experiment = f"mri-{preset}"
  config.data.source = "mr_slice"
  return config
