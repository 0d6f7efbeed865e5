import json

import pytest
from etils import epath

from flax_googlenet.distributed import agreement
from flax_googlenet.distributed.agreement import check_agreement, check_shared
from flax_googlenet.errors import UserError


def settings_of_another(service, changes):
    """Send the settings that another process would send, with changes."""
    check_alone = {"config.seed": 0, "the workdir": "/runs/1"}
    facts = {
        "the code of flax_googlenet": agreement._digest_of_library(),
        "the version of jax": agreement.jax.__version__,
        "the version of numpy": agreement.np.__version__,
        **check_alone,
        **changes,
    }
    service.say("settings", json.dumps(facts))
    return check_alone


def test_the_same_settings_agree(service):
    check_agreement(settings_of_another(service, {}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config.seed": 1}, "config.seed, which is 0 and 1; "),
        ({"the workdir": "/runs/2"}, "the workdir, which is '/runs/1' and '/runs/2'; "),
        ({"the code of flax_googlenet": "older"}, "the code of flax_googlenet, which is '"),
        ({"more": 1}, "more, which is None and 1; "),
    ],
)
def test_the_first_difference_is_named(service, changes, words):
    settings = settings_of_another(service, changes)
    with pytest.raises(UserError, match=r"^process 0 on node0 and process 1 on node1 differ in ") as raised:
        check_agreement(settings)
    assert words in str(raised.value)


def test_a_process_without_others_agrees_with_itself(tmp_path):
    check_agreement({"config.seed": 0})
    check_shared(epath.Path(tmp_path / "missing"))


@pytest.mark.parametrize("found", [True, False])
def test_a_workdir_is_shared_if_the_others_see_what_the_first_one_wrote(service, found, tmp_path):
    service.say("probe of the workdir", ".shared-of-another")
    service.say("probe in the workdir", "")
    service.say("view of the workdir", json.dumps(found))
    if found:
        check_shared(epath.Path(tmp_path))
    else:
        with pytest.raises(UserError, match="of process 1 on node1 is not that of process 0 on node0"):
            check_shared(epath.Path(tmp_path))
    assert not list(tmp_path.iterdir()), "the probe is removed"


@pytest.mark.usefixtures("service")
def test_another_process_waits_until_a_network_file_system_shows_the_probe(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "process_index", lambda: 1)
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            (tmp_path / ".shared-x").touch()

    monkeypatch.setattr(agreement.time, "sleep", sleep)
    answers = {"probe of the workdir": ".shared-x", "view of the workdir": "true"}
    monkeypatch.setattr(agreement, "exchange", lambda topic, message, **_: [answers[topic], message])
    monkeypatch.setattr(agreement, "meet", lambda _: None)
    check_shared(epath.Path(tmp_path))
    assert len(naps) == 3
