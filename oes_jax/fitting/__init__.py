"""Objectives, the engine, early stopping and the two stages."""

from oes_jax.fitting._early_stopping import Choice
from oes_jax.fitting._early_stopping import GUARDS
from oes_jax.fitting._early_stopping import Guard
from oes_jax.fitting._engine import SCHEDULES
from oes_jax.fitting._objectives import Fit
from oes_jax.fitting._objectives import Prior
from oes_jax.fitting._objectives import Problem
from oes_jax.fitting._objectives import make_weight_objective
from oes_jax.fitting._restoration import LARGEST_AUTO_FRACTION
from oes_jax.fitting._restoration import Program
from oes_jax.fitting._restoration import acting_target
from oes_jax.fitting._restoration import automatic_keep_fraction
from oes_jax.fitting._restoration import compact_problem
from oes_jax.fitting._restoration import dense_mask
from oes_jax.fitting._restoration import find_collapse
from oes_jax.fitting._restoration import fraction_that_acts
from oes_jax.fitting._restoration import make_mask_stage
from oes_jax.fitting._restoration import make_weight_stage
from oes_jax.fitting._restoration import masked_output
from oes_jax.fitting._restoration import plan_compaction
from oes_jax.fitting._restoration import random_scores
from oes_jax.fitting._restoration import stream_key
from oes_jax.fitting._restoration import threshold_scores
from oes_jax.fitting._settings import LearnMask
from oes_jax.fitting._settings import TrainWeights
