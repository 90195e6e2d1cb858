"""Forward operators: what a measurement is of an image."""

from oes_jax.operators._damage import DAMAGE
from oes_jax.operators._kernels import gaussian_kernel
from oes_jax.operators._kernels import motion_kernel
from oes_jax.operators._operators import DOWNSAMPLING
from oes_jax.operators._operators import ForwardOperator
from oes_jax.operators._operators import adjoint
from oes_jax.operators._operators import blur
from oes_jax.operators._operators import complex_to_unit
from oes_jax.operators._operators import count_measured
from oes_jax.operators._operators import downsampling
from oes_jax.operators._operators import fourier_rows
from oes_jax.operators._operators import gaussian_rows
from oes_jax.operators._operators import identity
from oes_jax.operators._operators import inpainting
from oes_jax.operators._operators import magnitude_of_unit
from oes_jax.operators._operators import mri
from oes_jax.operators._operators import simulated_coils
from oes_jax.operators._operators import smooth_phase
from oes_jax.operators._operators import to_complex
from oes_jax.operators._operators import tomography
from oes_jax.operators._settings import OPERATOR_NAMES
from oes_jax.operators._settings import OperatorSettings
