import json

import pytest

from benchmarks import tables
from flax_googlenet.errors import UserError
from studies.sweep_records import complete
from tests.studies.conditions import CONDITIONS


def run_of(row, seed, top1=0.5, **changes):
    figures = {"top1": top1, "top5": 0.9, "loss": 1.0, "images_per_second": 7.0}
    costs = {"params": 1_000, "multiply_adds": 2_000_000, "digest": "x", "workdir": f"{row}/seed_{seed}"}
    return {"row": row, "seed": seed, "status": "done", **figures, **costs, **changes}


def sweep_of(*runs):
    return {"reference": "both", "notes": {"both": "Two heads.", "none": ""}, "runs": list(runs)}


def test_a_complete_sweep_becomes_a_table_without_its_speed():
    sweep = sweep_of(*(run_of(row, seed, 0.5 + seed / 10) for row in ("both", "none") for seed in (0, 1)))
    result = complete(sweep, "results.json")
    assert not {"images_per_second", "digest", "workdir"} & result["runs"][0].keys()
    table = tables.aux_heads_and_reductions({**json.loads(json.dumps(result)), "conditions": CONDITIONS})
    assert (
        "| both | 2 | 55.00 ± 7.07 |  | 90.00 ± 0.00 | 1.0000 ± 0.0000 | 1,000 | 2.0M | Two heads. |" in table
    )
    assert "images/s" not in table
    assert table.endswith("Commit abc; 1 x cpu, 2 cores, x86_64; load average 0.1.")


@pytest.mark.parametrize(
    "runs",
    [
        (run_of("both", 0), run_of("both", 1), run_of("none", 0)),
        (run_of("both", 0), run_of("both", 1), run_of("none", 0), run_of("none", 1, status="failed")),
    ],
)
def test_a_sweep_that_is_not_complete_is_refused(runs):
    words = r"results.json has no complete run of none with seed 1; the same launch.sweep command trains it"
    with pytest.raises(UserError, match=words):
        complete(sweep_of(*runs), "results.json")
