"""Many restorations: plan, batches, shards, ensembles and tables."""

from oes_jax.sweeps._array_folder import restore_in_folder
from oes_jax.sweeps._array_folder import write_array
from oes_jax.sweeps._cases import Case
from oes_jax.sweeps._cases import expand
from oes_jax.sweeps._cases import is_many
from oes_jax.sweeps._report import say_plot
from oes_jax.sweeps._report import write_report
from oes_jax.sweeps._results import MEASURED
from oes_jax.sweeps._results import read_results
from oes_jax.sweeps._shard import end_at_once
from oes_jax.sweeps._shard import find_shard
from oes_jax.sweeps._shard import join_program
from oes_jax.sweeps._sweep import find_folder
from oes_jax.sweeps._sweep import run_all
from oes_jax.sweeps._sweep import run_cases
from oes_jax.sweeps._tables import write_tables
