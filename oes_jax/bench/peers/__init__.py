"""Methods that ours is compared with."""

from oes_jax.bench.peers._denoisers import available
from oes_jax.bench.peers._denoisers import denoise
from oes_jax.bench.peers._denoisers import version
from oes_jax.bench.peers._inverse import Given
from oes_jax.bench.peers._inverse import PEERS
from oes_jax.bench.peers._inverse import solve
