"""Write docs/config.md, the reference of the config keys, from the table in flax_googlenet/config/schema.py.

python -m docs.config
"""

import itertools
import pathlib
from collections.abc import Iterator

from flax_googlenet.config.kinds import literal
from flax_googlenet.config.schema import KEYS, Key

PAGE = pathlib.Path(__file__).with_suffix(".md")

_INTRODUCTION = r"""<!-- Written by `python -m docs.config`; edit flax_googlenet/config/schema.py instead. -->

# Config keys

A file in `configs/` sets the keys of its experiment; the other keys have the defaults below. The
command line overrides both:

```bash
python -m launch.train --workdir=runs/dropout --config.model.dropout=0.5 --config.duration="2 epochs"
```

`python -m launch.train --help=config` prints the same reference. Defaults that differ for a variant follow
the general one. Sections, figures and tables are those of
[Going deeper with convolutions](https://arxiv.org/abs/1409.4842). Keys marked with \* affect no result, and
a resumed run may change them.
"""


def page() -> str:
    """Return the page as Markdown."""
    sections = dict.fromkeys(key.section for key in KEYS.values())
    return "\n".join([_INTRODUCTION, *itertools.chain.from_iterable(map(_lines, sections))])


def _lines(section: str) -> Iterator[str]:
    yield f"## {section or 'Experiment'}\n"
    yield "| key | default | accepts | meaning |"
    yield "|---|---|---|---|"
    for key in KEYS.values():
        if key.section != section:
            continue
        mark = r"\*" if key.operational else ""
        yield f"| `{key.name}`{mark} | {_defaults(key)} | {_escape(key.kind.phrase)} | {_escape(key.help)} |"
    yield ""


def _defaults(key: Key) -> str:
    defaults = [f"{variant} `{literal(value)}`" for variant, value in key.variant_defaults.items()]
    return "<br>".join([f"`{literal(key.default)}`", *defaults])


def _escape(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
