"""Gives mkdocs the documents of the repository, in the language of this build, under the names that they have on the site."""

import logging
import posixpath
from pathlib import Path

import pages
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]

# Begins an address that is seen from the root of this build. mkdocs leaves such ones as they are, and would make those wrong that lead
# above its root.
ROOTED = "/@/"

# What the configuration says of the languages, before a page is added to it.
LANGUAGES = []


def on_config(config):
    logging.getLogger("jieba").setLevel(logging.WARNING)
    LANGUAGES[:] = config.extra["alternate"]
    config.nav = _translate(config.nav, config.extra)
    for palette in config.theme["palette"]:
        palette["toggle"]["name"] = _label(palette["toggle"]["name"], config.extra)
    return config


def _label(label, extra):
    if extra["locale"] == "en":
        return label
    if label not in extra["labels"]:
        raise PluginError(f"mkdocs.{extra['locale']}.yml has no label for {label}")
    return extra["labels"][label]


def _translate(nav, extra):
    """Gives the nav with its sections' names in the language of this build."""
    if isinstance(nav, dict):
        return {_label(name, extra): _translate(below, extra) for name, below in nav.items()}
    return [_translate(item, extra) for item in nav] if isinstance(nav, list) else nav


def on_files(files, config):
    locale = config.extra["locale"]
    documents = pages.documents(ROOT)
    taken = {}
    for uri in documents:
        file = File.generated(config, uri, abs_src_path=str(pages.source(ROOT, uri, locale)))
        file.dest_uri = pages.address(uri)
        if file.dest_uri in taken:
            raise PluginError(f"{uri} and {taken[file.dest_uri]} would both be {file.dest_uri}")
        taken[file.dest_uri] = uri
        files.append(file)
    for uri in documents:
        text = pages.source(ROOT, uri, locale).read_text()
        for path in pages.linked_files(ROOT, uri, text):
            _append_linked(files, config, path)
    return files


def _append_linked(files, config, path):
    """Adds a file that is no document: a picture as it is, all else as a page that shows it."""
    if path.endswith((".png", ".svg")):
        if path not in files.src_uris:
            file = File.generated(config, path, abs_src_path=str(ROOT / path))
            file.dest_uri = path.removeprefix("docs/")
            files.append(file)
        return
    uri = pages.shown_as(path)
    if uri not in files.src_uris:
        shown = pages.show(path, (ROOT / path).read_text())
        files.append(File.generated(config, uri, content=shown, inclusion=InclusionLevel.NOT_IN_NAV))


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri
    if posixpath.dirname(uri).startswith(pages.SHOWN):
        return markdown
    locale = config.extra["locale"]
    text = pages.adapt(ROOT, uri, markdown, locale)
    if locale != "en" and pages.source(ROOT, uri, locale) == ROOT / uri:
        heading, _, rest = text.partition("\n")
        text = f"{heading}\n\n*{config.extra['english_only']}*\n{rest}"
    return text


def on_page_context(context, page, config, nav):
    """Has the language switch, and the links for search engines, lead to the same page."""
    addresses = [posixpath.normpath(language["link"] + page.url) for language in LANGUAGES]
    config.extra["alternate"] = [{**language, "link": ROOTED + to} for language, to in zip(LANGUAGES, addresses)]


def on_post_page(output, page, config):
    return output.replace(f'"{ROOTED}', '"' + "../" * page.url.count("/"))
