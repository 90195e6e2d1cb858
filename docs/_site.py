"""What the site is made of beside the pages in docs: the README, the paper's claims, linked source files and public names.

A hook of MkDocs (mkdocs.yml). The README is the site's first page; links of any page out of docs are turned to a copy that is shown as
text; and on a reference page the comment <!-- public names of oes_jax.masks --> becomes all that the package exports.
"""

import ast
import os
import pathlib
import posixpath
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "configs/paper/README.md": "paper.md"}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
NAMES = re.compile(r"^<!-- public names of ([\w.]+) -->$", re.MULTILINE)


def source_of(uri: str) -> str:
  """Return a page's path in the repository, of its path in the site."""
  return next((source for source, page in PAGES.items() if page == uri), f"docs/{uri}")


def uri_of(source: str) -> str:
  """Return where the site has what lies at a path of the repository."""
  if source in PAGES:
    return PAGES[source]
  return source.removeprefix("docs/") if source.startswith("docs/") else f"source/{source}.txt"


def turn_links(text: str, source: str) -> tuple[str, list[str]]:
  """Return (a page's text with its links turned to the site, paths in the repository that they lead to)."""
  here, linked = posixpath.dirname(uri_of(source)), []

  def turn(match: re.Match) -> str:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
    linked.append(target)
    return os.path.relpath(uri_of(target), here or ".").replace(os.sep, "/") + (match[2] or "")

  return LINK.sub(turn, text), linked


def public_names(module: str) -> list[str]:
  """Return the public names of a module: what a package imports from its files, what a file defines.

  Without those that the reference's first page shows.
  """
  path = ROOT.joinpath(*module.split("."))
  path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
  body = ast.parse(path.read_text(encoding="utf-8")).body
  if path.name == "__init__.py":
    names = [alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
  else:
    names = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
  first = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/reference/index.md").read_text(encoding="utf-8"), re.MULTILINE)
  return [name for name in names if not name.startswith("_") and f"{module}.{name}" not in first]


def on_files(files_of_site, config):
  """Add the pages and the source files that lie outside of docs."""
  from mkdocs.structure import files  # pylint: disable=import-outside-toplevel
  texts = {source: (ROOT / source).read_text(encoding="utf-8") for source in PAGES}
  for file in files_of_site.documentation_pages():
    texts[source_of(file.src_uri)] = file.content_string
  for source, uri in PAGES.items():
    files_of_site.append(files.File.generated(config, uri, content=texts[source]))
  linked = {target for source, text in texts.items() for target in turn_links(text, source)[1]}
  for target in sorted(linked):
    if not target.startswith("docs/") and target not in PAGES and (ROOT / target).is_file():
      content = (ROOT / target).read_text(encoding="utf-8")
      files_of_site.append(files.File.generated(config, uri_of(target), content=content))
  return files_of_site


def on_page_markdown(markdown, page, **_):
  """Turn the links of a page, and put the public names into it."""
  text = turn_links(markdown, source_of(page.file.src_uri))[0]
  return NAMES.sub(lambda match: "\n".join(f"::: {match[1]}.{name}\n" for name in public_names(match[1])), text)
