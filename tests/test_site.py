"""The site of docs/ builds without warnings, such as about a page that is in no table of contents."""

import pathlib
import subprocess
import sys

import pytest

from tests.support.commands import REPOSITORY, process_environment

PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("site")
    options = ("--fail-on-warning", "--keep-going", "--quiet")
    process = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(out)],
        cwd=REPOSITORY,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    return out


@pytest.mark.slow
def test_every_page_is_on_the_site(site):
    assert len(PAGES) > 30
    assert [page.name for page in PAGES if not (site / f"{page.stem}.html").is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_on_the_site_and_linked_from_the_page_of_its_task(site, notebook):
    assert "PACKAGE" in (site / f"notebooks/{notebook.stem}.html").read_text()
    guides = ("predict", "ablations", "fine_tune", "inspect")
    texts = [(site / f"{guide}.html").read_text().partition("<article")[2] for guide in guides]
    assert (
        sum(f'href="notebooks/{notebook.stem}.html"' in text.partition("</article")[0] for text in texts) == 1
    )


@pytest.mark.slow
def test_the_public_api_is_on_the_site(site):
    import flax_googlenet

    text = (site / "api.html").read_text()
    assert [name for name in flax_googlenet.__all__ if f'id="flax_googlenet.{name}"' not in text] == []
