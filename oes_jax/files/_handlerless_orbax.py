"""Orbax, imported without the handler that it gives the root logger by logging a line: beside absl's, warnings came out twice."""
# pylint: disable=wrong-import-position

import logging

_HANDLERS = logging.root.handlers[:]

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

logging.root.handlers[:] = _HANDLERS

__all__ = ["ocp", "preservation_policy"]
