"""What every operator is made from, by name."""

import dataclasses

from oes_jax import settings
from oes_jax.operators import _named
from oes_jax.operators import _super_resolution


@dataclasses.dataclass(frozen=True)
class OperatorSettings(settings.Settings):
  """Settings of the forward operator; each operator reads its own."""
  name: str = settings.setting(
      "identity", "What was measured of the image: identity (all of it), inpainting (some pixels), super_resolution (a "
      "coarser image), deblurring (a blurred one), mri (k-space of several coils), tomography (parallel-beam CT), "
      "fourier_rows or gaussian_rows (compressed sensing). The last two are simulated only; measured data of mri and "
      "tomography are NPZ, HDF5 or MAT files, see docs/files.md, \"Scans\".", choices=_named.FAMILIES)
  simulate: bool | None = settings.setting(
      None, "Whether the measurement is simulated from data.source, a clean image. None: from bundled images, and "
      "where the strength of a noise is given; any other file is the measurement.", kind=bool)
  kept: float = settings.setting(
      0.5, "Share of the pixels that inpainting measures, at random.", allowed="a number in (0, 1]",
      test=lambda v: 0 < v <= 1)
  mask: str | None = settings.setting(
      None, "Pixels that inpainting loses: lines (scratches) or text, or an image (or .npy) that is 0 where a pixel is "
      "lost. None: pixels at random, or those of a measured file that are NaN.", kind=str)
  factor: int = settings.setting(
      4, "Pixels of the image along a side of a measured one, in super_resolution.",
      allowed="a whole number from 2 to 8", test=lambda v: 2 <= v <= 8)
  downsampling: str = settings.setting(
      "box", "How pixels make a measured one, in super_resolution: box (their mean), bicubic or lanczos (stretched by "
      "the factor, as image programs scale down).", choices=_super_resolution.DOWNSAMPLING)
  kernel: str = settings.setting(
      "gaussian", "Kernel of deblurring: gaussian, motion, or the path of one (an image or .npy, odd sides; its sum "
      "becomes 1).")
  kernel_sigma: float = settings.setting(
      1.6, "Standard deviation of the Gaussian of deblurring, in pixels.", allowed="0.1 to 50 pixels",
      test=lambda v: 0.1 <= v <= 50)
  motion_length: int = settings.setting(
      9, "Length of the motion of deblurring, in pixels.", allowed="2 to 200 pixels", test=lambda v: 2 <= v <= 200)
  motion_angle: float = settings.setting(
      30.0, "Angle of the motion of deblurring, in degrees from the row.", allowed="-360 to 360 degrees",
      test=lambda v: -360 <= v <= 360)
  coils: int = settings.setting(
      4, "Simulated coils of mri.", allowed="a whole number from 1 to 64", test=lambda v: 1 <= v <= 64)
  acceleration: float = settings.setting(
      4.0, "Columns of the k-space of mri to measured ones.", allowed="a number from 1 to 100",
      test=lambda v: 1 <= v <= 100)
  centre: float = settings.setting(
      0.08, "Share of the columns in the middle that mri measures in any case.", allowed="a number in (0, 1]",
      test=lambda v: 0 < v <= 1)
  angles: int = settings.setting(
      60, "Angles of tomography, evenly over 180 degrees.", allowed="a whole number from 1 to 10,000",
      test=lambda v: 1 <= v <= 10_000)
  angle_unit: str = settings.setting(
      "degrees", "Unit of the angles of measured tomography: degrees or radians.", choices=("degrees", "radians"))
  centred: bool = settings.setting(
      True, "Whether the zero frequency lies in the middle of the measured k-space of mri, and the origin of the image in its "
      "middle, as fastMRI has them; else both lie in the corner, as numpy.fft.fft2 has them.")
  coil_axis: int = settings.setting(
      0, "Axis of the coils in the measured k-space and coil maps of mri.", allowed="0 or -1", test=lambda v: v in (0, -1))
  rows: float = settings.setting(
      0.3, "Measured values of fourier_rows and gaussian_rows to pixels.", allowed="a number in (0, 1]",
      test=lambda v: 0 < v <= 1)
