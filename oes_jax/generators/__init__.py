"""Untrained image generators, their channel graph and the exact convolution identities."""

from oes_jax.generators._convolution import CONVOLUTIONS
from oes_jax.generators._convolution import convolve
from oes_jax.generators._convolution import resolve_implementation
from oes_jax.generators._deep_decoder import deep_decoder
from oes_jax.generators._generator import centre
from oes_jax.generators._generator import from_apply
from oes_jax.generators._generator import Generator
from oes_jax.generators._generator import Layer
from oes_jax.generators._generator import sample_net_input
from oes_jax.generators._hourglass import hourglass
from oes_jax.generators._named import GENERATORS
from oes_jax.generators._named import make_generator
from oes_jax.generators._settings import GeneratorSettings
from oes_jax.generators._skip_hourglass import skip_hourglass
