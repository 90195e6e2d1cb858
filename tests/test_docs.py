"""The pages of the documentation: links, anchors, navigation, the README's size, the gallery; and the site, where it can be built."""

import ast
import functools
import importlib.util
import json
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest
import yaml

import oes_jax
from oes_jax.command import _arguments as arguments

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "configs" / "paper" / "README.md", *sorted(DOCS.rglob("*.md"))]
SITE = runpy.run_path(str(DOCS / "_site.py"))
GALLERY = runpy.run_path(str(DOCS / "gallery" / "make.py"))
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
SETUP = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python -m "


def _prose(text):
  """Return Markdown without its blocks of code and spans of code."""
  return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def _anchors(path):
  """Return the anchors of a page's headings, as a Git host makes them."""
  text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
  titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ +(.+)$", text, re.MULTILINE)]
  return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def _faults(path):
  """Return the relative links of a page that lead nowhere."""
  faults = []
  for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path.read_text(encoding="utf-8"))):
    if re.match(r"\w+:", target):
      continue
    name, _, anchor = target.partition("#")
    there = (path.parent / name).resolve() if name else path
    if not there.is_file() or anchor and anchor not in _anchors(there):
      faults.append(target)
  return faults


def _pages_of(nav):
  return [page for entry in nav for value in entry.values() for page in (_pages_of(value) if isinstance(value, list) else [value])]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_anchors_of_a_page_lead_somewhere(path):
  assert _faults(path) == []


def test_links_that_lead_nowhere_are_found(tmp_path):
  (tmp_path / "other.md").write_text("# A title, with `code`\n```\n# no title\n```\n")
  page = tmp_path / "page.md"
  page.write_text("[a](other.md#a-title-with-code) [b](other.md#no-title) [c](gone.md) [d](#here) `[e](gone)` [f](https://x.y)\n# Here\n")
  assert _faults(page) == ["other.md#no-title", "gone.md"]


def test_every_page_is_in_the_navigation_once():
  assert sorted(_pages_of(NAV)) == sorted(SITE["uri_of"](str(page.relative_to(ROOT))) for page in PAGES)


def test_links_of_pages_outside_of_docs_are_turned_to_the_site():
  turned, linked = SITE["turn_links"]("[a](../README.md#b) [c](../oes_jax/noise.py) [d](tutorials/ct.md) [e](#f) [g](https://h.i)", "docs/files.md")
  assert turned == "[a](index.md#b) [c](source/oes_jax/noise.py.txt) [d](tutorials/ct.md) [e](#f) [g](https://h.i)"
  assert linked == ["README.md", "oes_jax/noise.py", "docs/tutorials/ct.md"]
  assert SITE["turn_links"]("![a](docs/b.png)", "README.md")[0] == "![a](b.png)"
  assert SITE["turn_links"]("[a](noise.py) [b](../../docs/files.md)", "configs/paper/README.md")[0] == (
      "[a](source/configs/paper/noise.py.txt) [b](files.md)")


def test_the_reference_has_every_public_module_and_name():
  pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
  for name in set(dir(oes_jax)) - {"inspect", "__version__"}:  # oes_jax.inspect is runs.inspect
    assert re.search(rf"<!-- public names of oes_jax\.{name} -->|^::: oes_jax\.(\w+\.{name}$|{name}\.)", pages, re.MULTILINE), name
  assert {"hourglass", "from_apply"} <= set(SITE["public_names"]("oes_jax.generators"))
  assert "psnr" in SITE["public_names"]("oes_jax.metrics")
  assert {"learn_mask", "Problem"}.isdisjoint(SITE["public_names"]("oes_jax.fitting"))  # shown on the first page


def test_the_readme_is_a_door():
  text = (ROOT / "README.md").read_text(encoding="utf-8")
  assert len(text.splitlines()) <= 150 and len(text.split()) < 1500
  commands = re.findall(r"^```bash\n(python3 -m venv.*)\n```$", text, re.MULTILINE)
  assert commands == [f"{SETUP}oes_jax.main --config=configs/denoise.py", f"{SETUP}pytest"]
  assert f"<!-- test command -->\n```bash\n{commands[1]}\n```\n" in text


@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_program_is_in_a_tutorial_and_in_the_gallery(path):
  pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "tutorials").glob("*.md"))
  assert f"(../examples/{path.name})" in pages
  assert path.stem in GALLERY["SHOWN"]


def test_programs_in_tutorials_are_those_of_the_examples_and_all_python_parses():
  shown = 0
  for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
    text = page.read_text(encoding="utf-8")
    for program, block in re.findall(r"(?:^<!-- program: ([^\n]+) -->\n)?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
      ast.parse(block)
      assert not program or block == (ROOT / program).read_text(encoding="utf-8"), f"{page}: {program} is another program now"
      shown += bool(program)
  assert shown >= 9


def test_the_gallery_shows_its_record_in_small_pictures():
  record = json.loads((DOCS / "gallery" / "made.json").read_text(encoding="utf-8"))
  assert set(record) == set(GALLERY["SHOWN"])
  assert (DOCS / "gallery.md").read_text(encoding="utf-8") == GALLERY["write_page"](record)
  sizes = {path.stem: path.stat().st_size for path in (DOCS / "gallery").glob("*.jpg")}
  assert set(sizes) == set(record) and max(sizes.values()) < 40_000 and sum(sizes.values()) < 600_000


def _commands():
  """Return the arguments of all that pages tell to run of this program, without comments and abbreviations."""
  for page in PAGES:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"(?:^|(?<=`))((?:oes-jax|python -m oes_jax\.main) [^`\n]+)", text, re.MULTILINE):
      yield shlex.split(line.replace("...", ""), comments=True)


@functools.cache
def _config(config):
  path, _, preset = config.partition(":")
  return runpy.run_path(str(ROOT / path))["get_config"](*([preset] if preset else []))


def _check_keys(passed):
  """Look that a config is there and has all keys that are set; raise a KeyError or an OSError otherwise."""
  made = _config(passed[0].removeprefix("--config="))
  for key in (each.removeprefix("--config.").partition("=")[0] for each in passed if each.startswith("--config.")):
    made.get_ref(key) if "." not in key else made[key.partition(".")[0]].get_ref(key.partition(".")[2])


def test_commands_on_the_pages_have_options_and_keys_that_exist():
  others = {"inspect", "bench", "--help", "--help-all", "--completion", "--config=configs/NAME.py"}
  found = [line for line in _commands() if not others & set(line)]
  for first, *rest in found:
    _check_keys(arguments.arguments_of(rest[0], rest[1:]) if first == "oes-jax" else rest[2:])
  assert len(found) > 30
  with pytest.raises((KeyError, AttributeError)):
    _check_keys(["--config=configs/denoise.py", "--config.weights.steps=3"])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra `docs` is not installed")
def test_the_site_is_built_without_a_warning(tmp_path):
  done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)], cwd=ROOT, check=False,
                        capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
  assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
  assert "Restore one measurement" in (tmp_path / "reference" / "index.html").read_text(encoding="utf-8")
  assert "back_projected" in (tmp_path / "tutorials" / "ct.html").read_text(encoding="utf-8")  # of the program that it includes
  for page in tmp_path.rglob("*.html"):  # nothing is loaded from elsewhere
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", page.read_text(encoding="utf-8")), page
