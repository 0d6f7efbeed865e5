import pytest

from flax_googlenet.config.names import unknown_key


@pytest.mark.parametrize(
    ("name", "key"),
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
def test_a_similar_key_is_suggested(name, key):
    assert str(unknown_key(name)) == f'The config has no key "{name}"; did you mean "{key}"?'


@pytest.mark.parametrize("name", ["x", "zzz", "model.foo", "", "data.", "."])
def test_no_key_is_suggested_for_a_name_without_a_similar_key(name):
    assert str(unknown_key(name)).endswith("; docs/config.md lists them all.")
