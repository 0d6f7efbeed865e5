import pytest

from flax_googlenet.config.names import unknown_key


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("lr", "optimizer.learning_rate"),
        ("optimizer.lr", "optimizer.learning_rate"),
        ("wd", "optimizer.weight_decay"),
        ("optimizer.decay", "optimizer.weight_decay"),
        ("schedule.decay", "schedule.decay_rate"),
        ("bs", "batch_size"),
        ("evaluation.bs", "evaluation.batch_size"),
        ("epochs", "duration"),
        ("num_epochs", "duration"),
        ("max_steps", "duration"),
        ("save_every", "checkpoint.every"),
        ("eval.every", "evaluation.every"),
        ("optimiser.momentum", "optimizer.momentum"),
        ("momntum", "optimizer.momentum"),
        ("model.bn", "model.normalization"),
        ("num_workers", "data.workers"),
        ("data.img_size", "data.image_size"),
        ("label_smooth", "loss.label_smoothing"),
        ("mixup_alpha", "data.mixup"),
        ("data.rand_augment", "data.randaugment"),
        ("Optimizer.LR", "optimizer.learning_rate"),
    ],
)
def test_the_key_that_was_meant(asked, meant):
    assert str(unknown_key(asked)) == f'The config has no key "{asked}"; did you mean "{meant}"?'


@pytest.mark.parametrize("asked", ["x", "zzz", "model.foo", "", "data.", "."])
def test_no_key_is_offered_for_what_is_like_none(asked):
    assert str(unknown_key(asked)).endswith("; docs/config.md lists them all.")
