"""Docstrings as the site reads them: our section "Example:" is Google's "Examples:", whose lines are shown as code."""

import re

import griffe


class Examples(griffe.Extension):
  """An extension of griffe (mkdocs.yml)."""

  def on_object(self, *, obj: griffe.Object, **_) -> None:
    """Rename the section in the docstring of an object, once it is loaded."""
    if obj.docstring:
      obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
