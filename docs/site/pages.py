"""What the site makes of the documents: which there are, where each stands, and how GitHub's Markdown is told to mkdocs."""

import posixpath
import re
from pathlib import Path

from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from pymdownx.slugs import slugify

CHINESE = ".zh-CN.md"

# Below this stand the pages that show files which are no documents.
SHOWN = "files"

# Where a document stands on the site, when that is not its path without `docs/` and in small letters.
ADDRESSES = {
    "docs/README.md": "documents.html",
    "examples/README.md": "examples.html",
    "SECURITY.md": "security-policy.html",
    "UPGRADE.md": "releases.html",
}

# Chinese characters and punctuation, between which a line's end is no space.
WIDE = "[\u3000-\u9fff\uff00-\uffef“”‘’…—]"

LINK = re.compile(r"(?<!\\)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def documents(root):
    """Gives the paths of all documents for people, in English."""
    found = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/*.md")]
    found += [*root.glob("php/*.md"), *root.glob("php/*/README*.md")]
    uris = {path.relative_to(root).as_posix() for path in found}
    return sorted({uri.replace(CHINESE, ".md") for uri in uris})


def source(root, uri, locale):
    """Gives the file of a document in a language, or the English one where it is in English only."""
    twin = root / uri.replace(".md", f".{locale}.md")
    return twin if locale != "en" and twin.exists() else root / uri


def address(uri):
    """Gives the place of a document on the site."""
    if uri in ADDRESSES:
        return ADDRESSES[uri]
    folder, name = posixpath.split(uri.removeprefix("docs/").removesuffix(".md"))
    if name == "README":
        # php/yii2/README.md is php/yii2.html, php/README.md is php/index.html.
        return f"{folder}.html" if "/" in folder else posixpath.join(folder, "index.html")
    return posixpath.join(folder, f"{name.lower()}.html")


def title(root, uri, locale):
    """Gives the heading of a document."""
    lines = source(root, uri, locale).read_text().splitlines()
    return next((line[2:] for line in lines if line.startswith("# ")), uri)


def _anchors(text):
    """Gives the anchors of a document's headings, in their order."""
    found, slug = [], slugify(case="lower")

    def look(line):
        if re.match("#+ ", line):
            found.append(slug(line.lstrip("#").replace("`", ""), "-"))
        return line

    _outside_of_code(text, look)
    return found


def _translated(root, page, anchor, locale):
    """Gives the anchor of the heading that stands in a document of this language where `anchor` stands in the English one."""
    here, english = (_anchors(source(root, page, language).read_text()) for language in (locale, "en"))
    return here[english.index(anchor)] if anchor not in here and anchor in english else anchor


def _target(uri, link):
    """Gives the path in the repository that a link of a document leads to, and its anchor; no path for other links."""
    path, _, anchor = link.partition("#")
    if not path or "://" in link or link.startswith("mailto:"):
        return None, anchor
    return posixpath.normpath(posixpath.join(posixpath.dirname(uri), path)), anchor


def _outside_of_code(text, change):
    """Gives the text with `change` made to each line that stands in no code block."""
    lines, fence = [], None
    for line in text.split("\n"):
        mark = re.match(r" *(`{3,})", line)
        if fence is None:
            fence = mark and mark[1]
            line = line if fence else change(line)
        elif mark and line.strip() == fence:
            fence = None
        lines.append(line)
    return "\n".join(lines)


def linked_files(root, uri, text):
    """Gives the paths of the files that are no documents and that a document leads to."""
    found = set()

    def look(line):
        targets = (_target(uri, link)[0] for _, link in LINK.findall(line))
        found.update(path for path in targets if path and not path.endswith(".md") and (root / path).is_file())
        return line

    _outside_of_code(text, look)
    return sorted(found)


def shown_as(path):
    """Gives the path of the page that shows a file."""
    return f"{SHOWN}/{path}.md"


def show(path, text):
    """Gives a page that shows a file."""
    try:
        language = get_lexer_for_filename(path).aliases[0]
    except ClassNotFound:
        language = "text"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _indent(text):
    """Gives the text with what belongs to an item of a list indented by four spaces, as Python's Markdown wants it."""
    lines, width = [], 0
    for line in text.split("\n"):
        item = re.match(r"([-*] |\d+\. )\S", line)
        if item:
            width = len(item[1])
        elif line and not line.startswith(" " * max(width, 1)):
            width = 0
        elif line and width:
            line = " " * 4 + line[width:]
        lines.append(line)
    return "\n".join(lines)


def adapt(root, uri, text, locale):
    """Gives a document as mkdocs wants it: with links to pages of the site, titles in place of file names, and no link to its twin.

    Pages that are in English only lead to English anchors, also where the page behind has others.
    """
    own = posixpath.basename(uri)
    twins = {own, own.replace(".md", CHINESE)}

    def link(match):
        label, link = match.groups()
        path, anchor = _target(uri, link)
        if label in ("English", "中文") and link in twins:
            return ""
        if path is None:
            return match[0]
        page = path.replace(CHINESE, ".md")
        if (root / page / "README.md").exists():
            page += "/README.md"
        if page.endswith(".md") and (root / page).exists():
            label = title(root, page, locale) if re.fullmatch(r"[\w./-]+\.md", label) else label
            anchor = _translated(root, page, anchor, locale)
        elif (root / page).is_file() and not page.endswith((".png", ".svg")):
            page = shown_as(page)
        there = posixpath.relpath(page, posixpath.dirname(uri) or ".")
        return f"[{label}]({there}{'#' + anchor if anchor else ''})"

    def change(line):
        if line.startswith("|"):
            # In code within a table GitHub wants this bar escaped, and Python's Markdown shows the escape.
            line = re.sub("`[^`]*`", lambda code: code[0].replace("\\|", "|"), line)
        # The mark says that this line is no code.
        return re.sub(f"({WIDE})$", "\\1\0", LINK.sub(link, line))

    text = _indent(_outside_of_code(text, change))
    text = re.sub(r"^( *```php)\n(?! *<\?)", r"\1-inline\n", text, flags=re.MULTILINE)
    return re.sub(f"\0\n *(?={WIDE})", "", text).replace("\0", "")
