"""Untrained image generators, their channel graph and the exact convolution identities."""

from oes_jax.generators._convolution import CONVOLUTIONS
from oes_jax.generators._convolution import resolve_implementation
from oes_jax.generators._generators import GENERATORS
from oes_jax.generators._generators import Generator
from oes_jax.generators._generators import Layer
from oes_jax.generators._generators import centre
from oes_jax.generators._generators import make_generator
from oes_jax.generators._generators import sample_net_input
from oes_jax.generators._settings import GeneratorSettings
