"""What one measurement says of itself before it is restored: values, defects, noise, conventions, and what to do."""

from oes_jax.inspection._brightness import Brightness
from oes_jax.inspection._defects import Defects
from oes_jax.inspection._findings import Findings
from oes_jax.inspection._findings import inspect_image
from oes_jax.inspection._findings import inspect_scan
from oes_jax.inspection._k_space import KSpace
from oes_jax.inspection._noise import Noise
from oes_jax.inspection._pages import some_pages
from oes_jax.inspection._pages import with_pages
from oes_jax.inspection._recommendation import CONFIGS
from oes_jax.inspection._recommendation import depends_on_brightness
from oes_jax.inspection._recommendation import Recommendation
from oes_jax.inspection._sinogram import remark_axis
from oes_jax.inspection._sinogram import Sinogram
from oes_jax.inspection._values import End
from oes_jax.inspection._values import Values
