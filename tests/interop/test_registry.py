"""Every source of weights, held to the same tests; a new row is tested by being one."""

import dataclasses
import functools
import hashlib

import pytest
from flax.traverse_util import flatten_dict

from benchmarks.random_weights import random_checkpoint
from flax_googlenet import load_pretrained
from flax_googlenet.config import PREPROCESSING, resolve
from flax_googlenet.errors import UserError
from flax_googlenet.interop import FORMATS, SOURCES, download, export
from flax_googlenet.interop.registry import source_of_suffix
from tests.support.weights import assert_same

rows = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in SOURCES.items()])
published_rows = pytest.mark.parametrize(
    "row", [pytest.param(row, id=name) for name, row in SOURCES.items() if row.published]
)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A function that returns the network of a source with random weights, and a file with it."""
    directory = tmp_path_factory.mktemp("examples")

    @functools.cache
    def make(name: str):
        row = SOURCES[name]
        network = random_checkpoint(directory / name, 64, variant=row.variant or "bn", aux_heads=0)
        return network, export(network, name, directory / f"{name}{row.suffixes[0]}")

    return make


@rows
def test_a_file_becomes_a_classifier_with_its_preprocessing(row, example):
    network, file = example(row.name)
    classifier = load_pretrained(row.name, file)
    assert_same(flatten_dict(classifier.variables, sep="/"), flatten_dict(network.variables, sep="/"))
    assert classifier.config.model == network.config.model
    expected = resolve({"model": {"variant": row.variant}}) if row.variant else network.config
    assert {key: classifier.metadata[key] for key in PREPROCESSING} == {
        key: expected.data[key] for key in PREPROCESSING
    }
    assert (classifier.origin["source"], classifier.origin["file"]) == (row.name, file.name)
    assert classifier.origin["licence"] == "not known: this is not the published file"


@rows
def test_a_row_says_what_help_texts_and_messages_need(row):
    assert SOURCES[row.name] is row
    assert row.network
    assert row.description
    assert row.suffixes
    assert all(suffix.startswith(".") and source_of_suffix(suffix) in SOURCES for suffix in row.suffixes)


@published_rows
def test_published_weights_are_pinned(row):
    assert row.published.address.startswith("https://")
    assert len(row.published.sha256) in (8, 64)
    assert set(row.published.sha256) <= set("0123456789abcdef")
    assert row.published.licence


@published_rows
def test_published_weights_are_downloaded_with_their_licence(row, example, server, monkeypatch):
    _, file = example(row.name)
    server.content = file.read_bytes()
    address = f"http://127.0.0.1:{server.server_port}/weights{row.suffixes[0]}"
    digest = hashlib.sha256(server.content).hexdigest()
    published = download.Published(address, digest, "free")
    monkeypatch.setitem(SOURCES, row.name, dataclasses.replace(row, published=published))
    classifier = load_pretrained(row.name)
    assert (classifier.origin["address"], classifier.metadata["licence"]) == (address, "free")
    assert server.requested == [f"/weights{row.suffixes[0]}"]


@pytest.mark.parametrize("name", [name for name, row in SOURCES.items() if not row.published])
def test_sources_without_published_weights_need_a_file(name):
    with pytest.raises(UserError, match=f'"{name}" has no published weights; give the path of a file'):
        load_pretrained(name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_help_texts_need(name):
    row = FORMATS[name]
    assert row.name == name
    assert row.description
    assert all(suffix.startswith(".") for suffix in row.suffixes)
