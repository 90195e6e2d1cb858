"""Whether a truth, which is only scored, seems to be one of its measurement."""

import numpy as np

_MARGIN = 1.0  # how far it lies outside of the unit range before that is remarked
# Correlation of a truth and the first image from which they are alike, and by which factor their contrasts are then apart at most.
_ALIKE, _FACTOR = 0.8, 3.0


def doubt_truth(truth: np.ndarray, estimate: np.ndarray) -> list[str]:
  """Return lines that say that a truth does not seem to be one of a measurement.

  Args:
    truth: clean image, in the measurement's unit range.
    estimate: first image that was made of the measurement, in the unit range.
  """
  remarks = []
  said = np.mean((truth < -_MARGIN) | (truth > 1 + _MARGIN)) > 0.05
  if said:
    remarks.append(f"data.truth reaches from {np.min(truth):.3g} to {np.max(truth):.3g} where the measurement's range is 0 to 1: it "
                   "seems to be on another scale")
  if truth.shape == estimate.shape and np.std(truth) and np.std(estimate):
    alike = float(np.corrcoef(truth.ravel(), estimate.ravel())[0, 1])
    if alike < 0:
      remarks.append(f"data.truth and the measurement have a correlation of {alike:.2f}: it seems to be a negative or another image")
    ratio = float(np.std(truth) / np.std(estimate))
    if not said and alike > _ALIKE and not 1 / _FACTOR < ratio < _FACTOR:
      remarks.append(f"data.truth looks like the measurement with {ratio:.2g} times its contrast: it seems to be on another scale")
  return remarks
