import json

import pytest

from benchmarks import tables


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_the_tables_of_the_docs_are_current(page):
    """`python -m benchmarks.tables` writes them."""
    text = page.read_text(encoding="utf-8")
    assert tables.update(text) == text


def test_every_result_file_has_a_table_and_conditions():
    names = [name for page in tables.PAGES for name in tables.table_names(page.read_text(encoding="utf-8"))]
    results = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in tables.RESULTS.glob("*.json")
    }
    assert set(names) - set(results) == {"input_pipeline"}, "the only table older than its result file"
    assert set(results) <= set(names)
    assert len(names) == len(set(names))
    for name, result in results.items():
        conditions = result["conditions"]
        assert conditions.keys() >= {"commit", "dirty", "versions", "device", "cores", "machine"}, name
        assert not conditions["dirty"], name
        assert conditions["versions"].keys() >= {"Python", "jax"}, name


def test_a_result_replaces_the_table_between_its_markers(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    conditions = {"commit": "abc1234", "dirty": False, "versions": {"jax": "1"}, "load_average": 0.1}
    conditions |= {"device": "1 x cpu", "cores": 2, "machine": "x86_64"}
    row = {"name": "a: b", "arrays": 3, "error": 1.25e-7, "worst": "y", "tolerance": 1e-4}
    (tmp_path / "parity.json").write_text(json.dumps({"comparisons": [row], "conditions": conditions}))
    block = "<!-- begin {0} -->\n{1}\n<!-- end {0} -->\n"
    other = block.format("parity_of_another_run", "stays")
    assert tables.update(f"Before.\n{block.format('parity', 'old')}After.\n{other}") == (
        "Before.\n<!-- begin parity -->\n"
        "| compared | arrays | largest error | of | tolerance |\n"
        "|---|---:|---:|---|---:|\n"
        "| a: b | 3 | 1.2e-07 | `y` | 1e-04 |\n\n"
        "Commit abc1234; 1 x cpu, 2 cores, x86_64; load average 0.1; jax 1.\n"
        f"<!-- end parity -->\nAfter.\n{other}"
    )
