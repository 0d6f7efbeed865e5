"""The README and the pages of docs/, and the blocks and shell commands on them."""

import dataclasses
import pathlib
import re
import shlex

from tests.support.commands import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]

MARK = r"<!-- not run: (?P<{}>[^>]*?) -->"
SNIPPET = re.compile(
    rf"^(?:{MARK.format('above')}\n)?```bash\n(?P<block>.*?)^```$"
    r"|^```.*?^```$"  # blocks of other languages
    rf"|`(?P<span>[^`\n]*python -m [^`\n]+)`(?:{MARK.format('behind')})?"
    r"|`[^`\n]+`"  # other code in the text, which may show a mark
    r"|<!--(?P<comment>.*?)-->",
    flags=re.DOTALL | re.MULTILINE,
)


def page_name(page: pathlib.Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(page: pathlib.Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


@dataclasses.dataclass(frozen=True)
class Snippet:
    """A block of shell commands, or a command in the text."""

    commands: tuple[str, ...]
    reason: str | None
    is_block: bool


def snippets(page: pathlib.Path) -> list[Snippet]:
    found = []
    for match in SNIPPET.finditer(page.read_text(encoding="utf-8")):
        if match["comment"]:
            assert "not run" not in match["comment"], f"{match[0]} belongs to no command"
        elif match["block"] is not None:
            lines = match["block"].replace("\\\n", " ").splitlines()
            words = [shlex.split(line, comments=True) for line in lines]
            found.append(Snippet(tuple(map(shlex.join, filter(None, words))), match["above"], is_block=True))
        elif match["span"] and "launch.NAME" not in match["span"]:
            found.append(Snippet((shlex.join(shlex.split(match["span"])),), match["behind"], is_block=False))
    return found


def commands(page: pathlib.Path) -> list[list[str]]:
    """Return the words of every `python -m MODULE` on a page, in blocks and in the text, from MODULE on."""
    every = [shlex.split(command) for snippet in snippets(page) for command in snippet.commands]
    found = []
    for words in every:
        while words and re.match(r"\w+=", words[0]):
            words = words[1:]
        if words[:2] == ["python", "-m"] and words[2] != "pip":
            found.append(words[2:])
    return found
