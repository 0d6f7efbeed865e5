import math

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.training.health import PATIENCE, StuckHeads, check_finite

CHANCE = math.log(1000)


def test_a_head_at_chance_is_named_once():
    heads = StuckHeads(1000, warmup_steps=100)
    figures = {"loss": CHANCE, "loss_logits": 3.0, "loss_aux_4d": CHANCE * 1.001}
    reports = [heads.warnings(step, figures) for step in range(50, 1000, 50)]
    (warnings,) = filter(None, reports)
    assert len(warnings) == 1
    assert '"aux_4d"' in warnings[0]
    assert "6.91" in warnings[0]
    assert reports.index(warnings) == 1 + PATIENCE  # two reports fall into the warm-up


def test_a_head_that_recovers_is_watched_anew():
    heads = StuckHeads(10, warmup_steps=0)
    for step, loss in enumerate([2.3, 2.3, 1.9, 2.3, 2.3], start=1):
        assert not heads.warnings(step, {"loss_logits": loss})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("last", "words"), [("/runs/a/12", "/runs/a/12"), (None, "no checkpoint yet")])
def test_a_loss_that_is_not_finite_names_step_and_checkpoint(bad, last, words):
    check_finite("loss", [1.0, 2.0], 5, lambda: last)
    with pytest.raises(UserError, match=r"gradient norm became \S+ at step 7") as caught:
        check_finite("gradient_norm", [1.0, 2.0, bad, 1.0], 5, lambda: last)
    assert words in str(caught.value)
