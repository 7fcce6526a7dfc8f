"""The pages of the repository, taken apart: blocks of code, shell commands, links and headings."""

import re
import shlex
from typing import NamedTuple

from tests.conftest import ROOT

FOLDERS = ("junlearn", "configs", "tests", "benchmarks")
PAGES = [ROOT / "README.md", *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("*.md")))]
SHELLS = ("sh", "bash", "console")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS = ("python", "junlearn", "pip", "pytest")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    """The page's path from the repository."""
    number: int
    """Its place among all blocks of the page."""
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}:{self.number}"


def _blocks() -> list[Block]:
    found = []
    for path in PAGES:
        page = path.relative_to(ROOT).as_posix()
        for number, match in enumerate(FENCED.finditer(path.read_text(encoding="utf-8"))):
            found.append(Block(page, number, *match.groups()))
    return found


BLOCKS = _blocks()


def of(*languages: str) -> list[Block]:
    """All blocks in one of these languages."""
    return [block for block in BLOCKS if block.language in languages]


def prose(text: str) -> str:
    """A page without its blocks."""
    return FENCED.sub("", text)


def inline(text: str) -> list[Block]:
    """The commands within the sentences of a page; those with a word to be filled in (FILE) are left out."""
    spans = re.findall(r"(?<!`)`((?:python -m|pip|junlearn) [^`]+)`", prose(text))
    return [Block("", 0, "sh", span) for span in spans if not re.search(r"\b[A-Z]{3,}\b|…", span)]


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block that call Python, each as its words; assignments in front are left out."""
    text = re.sub(r"^\$ ", "", block.text, flags=re.MULTILINE).replace("\\\n", " ")
    found = []
    for line in re.split(r"\n|&&|;", text):
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words and words[0] in PROGRAMS:
            found.append(words)
    return found


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


def links(text: str) -> list[str]:
    """The targets of all links of a page, those of `[number]: address` included. An arXiv number links to itself."""
    named = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    for number in re.findall(r"\[(\d{4}\.\d{5})\](?![:(])", text):
        assert number in named, f"[{number}] leads nowhere"
    return [*re.findall(r"\]\(([^()\s]+)\)", prose(text)), *named.values()]


def rows(page: str) -> dict[str, str]:
    """The rows of a page's tables by each name in the first column that stands in backticks."""
    found = {}
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", line.split("|")[1]), line)
    return found
