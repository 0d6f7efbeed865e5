"""Write the tables of docs/ from the result files in benchmarks/results.

  python -m benchmarks.tables

A table stands in a page of docs/ between `<!-- begin NAME -->` and `<!-- end NAME -->`, where NAME is the
name of its result file without `.json` and begins with the name of the benchmark.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.chaos.table import chaos
from benchmarks.conditions import REPOSITORY, describe
from benchmarks.input_pipeline.decoders import DECODERS
from benchmarks.input_pipeline.loaders import LOADERS
from flax_googlenet.sweeps.records import summary
from launch.common import command
from studies.crops_and_ensembles.table import crops_and_ensembles
from studies.initialization.table import initialization
from studies.versus_torchvision.table import versus_torchvision

RESULTS = REPOSITORY / "benchmarks/results"
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))

_BLOCK = re.compile(r"<!-- begin (?P<name>\w+) -->\n(?P<table>.*?)<!-- end (?P=name) -->\n", re.DOTALL)

Result = Mapping[str, Any]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Rewrite the pages and return the names of those that changed."""
    command.refuse_arguments(arguments)
    changed = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if (updated := update(text)) != text:
            page.write_text(updated, encoding="utf-8")
            changed.append(str(page.relative_to(REPOSITORY)))
    return {"changed": changed}


def update(page: str) -> str:
    """Return the text of a page with new tables; tables without a result file stay."""

    def replace(block: re.Match[str]) -> str:
        file = RESULTS / f"{block['name']}.json"
        if not file.exists():
            return block[0]
        (render,) = (render for kind, render in RENDERERS.items() if block["name"].startswith(kind))
        table = render(json.loads(file.read_text(encoding="utf-8")))
        return f"<!-- begin {block['name']} -->\n{table}\n<!-- end {block['name']} -->\n"

    return _BLOCK.sub(replace, page)


def table_names(page: str) -> list[str]:
    """Return the names of the tables in the text of a page."""
    return [block["name"] for block in _BLOCK.finditer(page)]


def parity_row(comparison: Result) -> str:
    """Return a comparison as a row of the table of parity."""
    return (
        f"| {comparison['name']} | {comparison['arrays']} | {comparison['error']:.1e} | "
        f"`{comparison['worst']}` | {comparison['tolerance']:.0e} |"
    )


def parity(result: Result) -> str:
    """Return the table of `python -m benchmarks.parity`."""
    return _table(
        "| compared | arrays | largest error | of | tolerance |",
        "|---|---:|---:|---|---:|",
        map(parity_row, result["comparisons"]),
        result,
    )


def averaging(result: Result) -> str:
    """Return the table of `python -m studies.averaged_statistics`."""
    rows = (
        f"| {name} | {step} | " + " | ".join(f"{accuracy:.1%}" for accuracy in accuracies) + " |"
        for name, by_step in result["accuracies"].items()
        for step, accuracies in by_step.items()
    )
    columns = result["columns"]
    return _table(
        f"| averaging | step | {' | '.join(columns)} |", "|---|--:|" + "--:|" * len(columns), rows, result
    )


def aux_heads_and_reductions(result: Result) -> str:
    """Return the table of the sweep studies/aux_heads_and_reductions.py."""
    table = summary(result["runs"], result["reference"], result["notes"], with_speed=False)
    return f"{table}\n{describe(result['conditions'])}"


def startup(result: Result) -> str:
    """Return the table of `python -m benchmarks.startup`."""
    ends = {"first_line": "first line", "set_up": "set-up complete", "compiled": "training step compiled"}
    ends |= {"first_step": "first step", "evaluated": "evaluated"}
    columns = [(start, unit) for start in ("cold", "warm") for unit in ("seconds", "cpu_seconds")]
    rows = [
        f"| {words} | {' | '.join(_figure(result[start], f'{end}_{unit}') for start, unit in columns)} |"
        for end, words in ends.items()
    ]
    rows += ["", "| a checkpoint in a new process, until | s | CPU s |", "|---|---:|---:|"]
    for end in ("imported", "loaded", "predicted"):
        seconds = _figure(result["restore"], "seconds") if end == "predicted" else ""
        rows.append(f"| {end} | {seconds} | {_figure(result['restore'], f'{end}_cpu_seconds')} |")
    head = "| until | cold, s | cold, CPU s | warm, s | warm, CPU s |"
    return _table(head, "|---|---:|---:|---:|---:|", rows, result)


def _figure(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.2f}" if name in figures else ""


def evaluation(result: Result) -> str:
    """Return the table of `python -m benchmarks.evaluation`."""
    row = (
        f"| {result['crops']} | {result['images']} | {result['crops_per_second']} | "
        f"{result['forward_alone']} | {result['share']:.1%} |"
    )
    return _table(
        "| crops | images | crops/s | crops/s of the forward pass | share |",
        "|---:|---:|---:|---:|---:|",
        [row],
        result,
    )


def input_pipeline(result: Result) -> str:
    """Return the table of `python -m benchmarks.input_pipeline`, with its settings and memory growth."""
    rows = []
    for name, row in result["loaders"].items():
        ratio = f"{row['ours_is_faster_by']:.2f}" if name != "ours" else ""
        memory = f"{row['peak_megabytes']} MB" if name in LOADERS else ""
        cells = (f"{row['images_per_second']:.0f}", ratio, f"{row['cpu_milliseconds']:.2f} ms", memory)
        rows.append(f"| {_description(name)} | {' | '.join(cells)} |")
    rows += (
        f"| {_description(name)} | not run: {reason} | | | |" for name, reason in result["missing"].items()
    )
    head = "| | images/s | ours is faster by | CPU time | peak memory |"
    table = _table(head, "|---|---:|---:|---:|---:|", rows, result)
    settings = (
        f"{result['files']} JPEG files of {result['kilobytes']} kB on average, in batches of "
        f"{result['batch_size']}; medians of {result['rounds']} rounds of {result['seconds']:g} s."
    )
    long_run = result["long_run"]
    growth = (
        f"In a run of {long_run['seconds']:g} s and {long_run['images']} images, the memory of our loader "
        f"grew by {long_run['growth_megabytes']} MB from the second quarter to the last."
    )
    return "\n\n".join([settings, table, growth])


def train_step(result: Result) -> str:
    """Return the table of `python -m benchmarks.train_step`, with its settings."""
    columns = {
        "temporary buffer": lambda form: _megabytes(form, "temp_bytes"),
        "first call, CPU s": lambda form: f"{form['first_call_cpu_seconds']:.1f}",
    }
    return _forms("network", columns, result, f"Batches of {result['batch_size']} images; ")


def inference(result: Result) -> str:
    """Return the table of `python -m benchmarks.inference`, with its settings."""
    columns = {
        "p50": lambda form: f"{1e3 * form['p50_seconds']:.1f} ms",
        "p99": lambda form: f"{1e3 * form['p99_seconds']:.1f} ms",
    }
    return _forms("batch", columns, result, f"The variant {result['variant']}; ")


def end_to_end(result: Result) -> str:
    """Return the tables of `python -m benchmarks.end_to_end`: training, the input alone and its limits."""
    trained, read = [], []
    for name, measured in result["results"].items():
        kind, _, of = name.partition(", ")
        forms = measured["forms"]
        if kind == "training":
            files, alone = forms["from files"], forms["step alone"]
            ratio = "{median:.1%} ({min:.1%} to {max:.1%})".format(**measured["ratios"]["step alone"])
            rates = f"{files['images_per_second']:.2f} | {alone['images_per_second']:.2f}"
            trained.append(f"| {of} | {rates} | {ratio} | {files['waiting']:.2%} |")
        for form, figures in forms.items() if kind == "input" else ():
            size = result["kilobytes"][of]
            read.append(f"| {of}, {size} kB | {form} | {figures['images_per_second']:.0f} |")
    limits = [
        f"| {name}, {result['kilobytes'][name]} kB | {lock['cpu_microseconds']:.0f} µs | "
        f"{lock['held_microseconds']:.1f} µs | {lock['cores_for_target']:.1f} | "
        f"{lock['lock_share_for_target']:.0%} |"
        for name, lock in result.get("lock", {}).items()
    ]
    settings = (
        f"The variant {result['variant']}, batches of {result['batch_size']} images, "
        f"{result['image_size']}x{result['image_size']} pixels, {result['dtype']}; medians of "
        f"{result['rounds']} rounds, and in brackets the smallest and largest ratio within a round."
    )
    training = "| training | from files, images/s | step alone | ratio | waiting |"
    tables = [
        [training, "|---|---:|---:|---:|---:|", *trained],
        ["| input | | images/s |", "|---|---|---:|", *read],
    ]
    if limits:
        rate = f"{result['target_rate']:,} images/s"
        head = f"| input | CPU time | interpreter lock | cores for {rate} | the lock is held for |"
        tables.append([head, "|---|---:|---:|---:|---:|", *limits])
    return "\n\n".join([settings, *map("\n".join, tables), describe(result["conditions"])])


def _forms(
    heading: str, columns: Mapping[str, Callable[[Result], str]], result: Result, settings: str
) -> str:
    """Return a table of forms measured by the harness.

    Args:
      heading: what the names of the results are.
      columns: cells of a form beside those of every such table, by their heads.
      result: the result of a command that uses the harness.
      settings: the beginning of the sentence above the table.
    """
    rows = []
    for name, measured in result["results"].items():
        for form, figures in measured["forms"].items():
            ratio = measured["ratios"].get(form)
            cells = (
                name,
                f"commit {figures['commit']}" if "commit" in figures else form,
                f"{figures['images_per_second']:.2f}",
                "{median:.2f} ({min:.2f} to {max:.2f})".format(**ratio) if ratio else "",
                f"{figures['cpu_seconds']:.3f}",
                f"{figures['gflops']:.0f}",
                f"{figures['share_of_roof']:.0%}" if "share_of_roof" in figures else "",
                _megabytes(figures, "peak_bytes"),
                *(cell(figures) for cell in columns.values()),
            )
            rows.append(f"| {' | '.join(cells)} |")
    common = ("images/s", "ours is faster by", "CPU s", "GFLOP/s", "of the roof", "peak memory")
    head = f"| {' | '.join((heading, 'form', *common, *columns))} |"
    table = _table(head, "|---|---|" + "---:|" * (len(common) + len(columns)), rows, result)
    roof = [rate for measured in result["results"].values() for rate in measured["roof_gflops"]]
    size = result["image_size"]
    settings += (
        f"{size}x{size} pixels, {result['dtype']}; medians of {result['rounds']} rounds, and in "
        "brackets the smallest and largest ratio within a round. The roof is the rate of a matrix product in "
        f"the same round, {min(roof):.0f} to {max(roof):.0f} GFLOP/s."
    )
    return "\n\n".join([settings, table])


def _megabytes(figures: Result, name: str) -> str:
    return f"{figures[name] / 1e6:.0f} MB" if figures.get(name) else ""


def step_memory(result: Result) -> str:
    """Return the table of `python -m benchmarks.step_memory`."""
    rows = (
        f"| `{variant}` | {size['kept']} MB | {size['remat']} MB | {1 - size['remat'] / size['kept']:.0%} |"
        for variant, size in result["megabytes"].items()
    )
    head = (
        f"| batch {result['batch_size']}, {result['image_size']} pixels, {result['dtype']} | temporary "
        "buffer | with `model.remat` | saved |"
    )
    return _table(head, "|---|---:|---:|---:|", rows, result)


def layers(result: Result) -> str:
    """Return the tables of `python -m benchmarks.layers`: the sums by kind of layer, and every layer."""
    ceilings = result["ceilings"]
    peak, bandwidth = ceilings["gflop_per_second"], ceilings["gb_per_second"]
    settings = (
        f"`{result['variant']}`, batch {result['batch_size']}, {result['image_size']} pixels, "
        f"{result['dtype']}. Ceilings: {peak:.0f} GFLOP/s and {bandwidth:.1f} GB/s."
    )
    head = "| layers | pass | ms | roof, ms | share of the roof | torch, ms |"
    sums = [
        f"| {kind} | {name} | {sums['ms']:.1f} | {sums['roof_ms']:.1f} | {sums['share_of_roof']:.0%} | "
        f"{_milliseconds(sums, 'torch_ms')} |"
        for kind, passes in result["totals"].items()
        for name, sums in passes.items()
    ]
    rows = []
    for row in result["rows"]:
        passes = row["passes"]
        cells = [
            _layer_cell(passes.get(name, {}), peak / bandwidth) for name in ("forward", "input gradient")
        ]
        cells.append(_layer_cell(passes.get("kernel gradient", passes.get("backward", {})), peak / bandwidth))
        intensity = passes["forward"]["flop_per_byte"]
        rows.append(f"| {row['name']} | {row['shape']} | {intensity:.1f} | {' | '.join(cells)} |")
    columns = (
        "| layer | channels | FLOP/byte | forward | input gradient | kernel gradient, or all gradients |"
    )
    return "\n\n".join(
        [
            settings,
            "\n".join([head, "|---|---|---:|---:|---:|---:|", *sums]),
            "<details><summary>Every layer</summary>",
            _table(columns, "|---|---|---:|---|---|---|", rows, result),
            "</details>",
        ]
    )


def imagenet_plan(result: Result) -> str:
    """Return the tables of `python -m benchmarks.imagenet_plan`: the chips and the recipes."""
    chips = [
        "| chip | TFLOP/s, bfloat16 | memory, GB/s | $ per hour |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {chip['tflop_per_second']:g} | {chip['gb_per_second']:g} | "
            f"{chip['dollars_per_hour']:.2f} |"
            for name, chip in result["chips"].items()
        ),
    ]
    rows = [
        f"| `{name}`, {recipe['epochs']:g} epochs at {recipe['image_size']} | {machine} | "
        f"{figures['roof_images_per_second']:,.0f} | {figures['images_per_second']:,.0f} | "
        f"{figures['hours']:g} | {figures['dollars']:,.0f} | "
        f"{' or '.join(map(str, figures['cores'].values()))} |"
        for name, recipe in result["recipes"].items()
        for machine, figures in recipe["machines"].items()
    ]
    head = "| recipe | on | roof of a chip, images/s | planned, images/s | hours | $ | cores for the input |"
    return "\n\n".join(["\n".join(chips), _table(head, "|---|---|---:|---:|---:|---:|---:|", rows, result)])


def _layer_cell(figures: Mapping[str, float], ridge: float) -> str:
    """Return the time of a pass, that of torch, the rate that its roof limits, and the share of the roof."""
    if not figures:
        return ""
    torch = f" (torch {_milliseconds(figures, 'torch_ms')})" if "torch_ms" in figures else ""
    is_compute = figures["flop_per_byte"] >= ridge
    rate = (
        f"{figures['gflop_per_second']:.0f} GFLOP/s" if is_compute else f"{figures['gb_per_second']:.1f} GB/s"
    )
    return f"{figures['ms']:.2f} ms{torch}, {rate}, {figures['share_of_roof']:.0%}"


def _milliseconds(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.2f}" if name in figures else ""


def _description(name: str) -> str:
    return (LOADERS[name] if name in LOADERS else DECODERS[name]).description


def _table(head: str, alignment: str, rows: Iterable[str], result: Result) -> str:
    return "\n".join([head, alignment, *rows, "", describe(result["conditions"])])


RENDERERS: dict[str, Callable[[Result], str]] = {
    function.__name__: function
    for function in (
        parity,
        averaging,
        aux_heads_and_reductions,
        startup,
        evaluation,
        input_pipeline,
        train_step,
        inference,
        end_to_end,
        step_memory,
        layers,
        imagenet_plan,
        chaos,
        initialization,
        crops_and_ensembles,
        versus_torchvision,
    )
}

if __name__ == "__main__":
    command.run(main)
