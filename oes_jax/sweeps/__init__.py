"""Many restorations: plan, batches, shards, ensembles and tables."""

from oes_jax.sweeps._cases import Case
from oes_jax.sweeps._cases import expand
from oes_jax.sweeps._cases import is_many
from oes_jax.sweeps._results import read_results
from oes_jax.sweeps._results import write_tables
from oes_jax.sweeps._sweep import find_folder
from oes_jax.sweeps._sweep import run_all
from oes_jax.sweeps._sweep import run_cases
