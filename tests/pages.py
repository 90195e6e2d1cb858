"""Pages as a browser reads them: what tests look for in report.html."""

import base64
import html.parser
import io
import shutil
import subprocess

from PIL import Image
import pytest

_LOADING = ("src", "href", "srcset", "data", "poster", "action")


class Page(html.parser.HTMLParser):
  """A page: its text, headings and links.

  Attributes:
    text: all that is shown, scripts and styles left out, with single spaces.
    headings: texts of h1 and h2.
    links: values of href.
    images: values of src.
    tags: name of every tag that was opened.
    attributes: name of every attribute.
  """

  def __init__(self, text: str):
    super().__init__()
    self._open, self._parts = [], []
    self.headings, self.links, self.images, self.tags, self.attributes = [], [], [], [], []
    self.feed(text)
    self.close()
    self.text = " ".join(" ".join(self._parts).split())

  def handle_starttag(self, tag, attrs):
    self._open.append(tag)
    self.tags.append(tag)
    self.attributes += [name for name, _ in attrs]
    for name, value in attrs:
      if name in _LOADING:
        (self.links if name == "href" else self.images).append(value)
    if tag in ("h1", "h2"):
      self.headings.append("")

  def handle_endtag(self, tag):
    while self._open and self._open.pop() != tag:
      pass

  def handle_data(self, data):
    if not {"script", "style"} & set(self._open):
      self._parts.append(data)
    if {"h1", "h2"} & set(self._open):
      self.headings[-1] += data


def read(folder) -> Page:
  """Return the page of a folder, after a look at what every one keeps: one script, no handlers, nothing that is loaded."""
  text = (folder / "report.html").read_text(encoding="utf-8")
  page = Page(text)
  assert page.tags.count("script") == 1 and not any(name.startswith("on") for name in page.attributes)
  assert all(source.startswith("data:image/png;base64,") for source in page.images)
  assert not any(link.partition("/")[0].endswith(":") for link in page.links)
  assert "http:" not in text and "https:" not in text and "url(" not in text and "default-src 'none'" in text
  return page


def pictures(page: Page) -> list[Image.Image]:
  """Return the images inside a page."""
  return [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in page.images]


def open_in_browser(path, script: str) -> str:
  """Return a page as headless Chromium has it once a script more has run; a fault of any script is in its title.

  Args:
    path: path of the page.
    script: statements; one that throws is a fault too.
  """
  browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
  if browser is None:
    pytest.skip("no Chromium is installed: the page is not opened in a browser")
  text = path.read_text(encoding="utf-8")
  watch = "<script>window.onerror = (said) => { document.title = 'FAULT ' + said }</script>"
  tried = path.with_name("tried.html")
  tried.write_text(text.replace("<head>", f"<head>{watch}", 1).replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
  done = subprocess.run(
      [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}", "--dump-dom",
       tried.as_uri()], capture_output=True, text=True, timeout=60, check=True)
  assert "<title>FAULT" not in done.stdout, done.stdout[:500]
  return done.stdout
