"""The manifest against the schemas of JobSet, jobs and pods, and what a restart relies on."""

import copy
import json
import pathlib
import re

import jsonschema
import pytest
import yaml

from flax_googlenet.distributed.watchdog import TRY_AGAIN
from tests.support.commands import REPOSITORY, defined_flags

SCHEMA = json.loads((pathlib.Path(__file__).parent / "jobset_v1alpha2.json").read_text())
MANIFEST = yaml.safe_load((REPOSITORY / "launch/gke/train.yaml").read_text())


def strict(schema):
    """Return a schema that refuses unknown fields, as Kubernetes does when a manifest is applied."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema


VALIDATOR = jsonschema.Draft202012Validator(strict(SCHEMA))


def job_of(manifest):
    (job,) = manifest["spec"]["replicatedJobs"]
    return job["template"]["spec"]


def pod_of(manifest):
    return job_of(manifest)["template"]["spec"]


def test_the_manifest_fits_the_schemas():
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert list(VALIDATOR.iter_errors(MANIFEST)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: manifest["spec"]["failurePolicy"].update(maxRestart=3),
        lambda manifest: manifest["spec"]["failurePolicy"]["rules"][0].update(action="Restart"),
        lambda manifest: job_of(manifest)["podFailurePolicy"]["rules"][0].pop("action"),
        lambda manifest: pod_of(manifest).update(terminationGracePeriodSeconds="300"),
        lambda manifest: pod_of(manifest)["containers"][0].pop("name"),
        lambda manifest: pod_of(manifest)["containers"][0].update(cmd=["python"]),
    ],
    ids=["a field of the set", "an action", "no action", "a type", "no name", "a field of a container"],
)
def test_the_schemas_find_a_mistake(spoil):
    manifest = copy.deepcopy(MANIFEST)
    spoil(manifest)
    assert len(list(VALIDATOR.iter_errors(manifest))) == 1


def test_a_run_that_can_resume_is_restarted_and_a_mistake_is_not():
    """Job controllers name the reason of a failure, which decides the rule of the set."""
    rules = {
        reason: rule["action"]
        for rule in MANIFEST["spec"]["failurePolicy"]["rules"]
        for reason in rule["onJobFailureReasons"]
    }
    assert rules == {"PodFailurePolicy": "RestartJobSet", "BackoffLimitExceeded": "FailJobSet"}
    job, pod = job_of(MANIFEST), pod_of(MANIFEST)
    (container,) = pod["containers"]
    exits, disruption = job["podFailurePolicy"]["rules"]
    assert exits["onExitCodes"]["containerName"] == container["name"]
    assert TRY_AGAIN in exits["onExitCodes"]["values"]
    assert not {1, 2} & set(exits["onExitCodes"]["values"]), "the statuses of mistakes"
    assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    # With another restartPolicy, Kubernetes refuses a podFailurePolicy.
    assert (pod["restartPolicy"], job["backoffLimit"]) == ("Never", 0)


def test_the_hosts_are_those_of_the_slice():
    job, pod = job_of(MANIFEST), pod_of(MANIFEST)
    (container,) = pod["containers"]
    chips = [int(side) for side in pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x")]
    per_host = container["resources"]["limits"]["google.com/tpu"]
    assert job["parallelism"] == job["completions"] == chips[0] * chips[1] // per_host
    assert job["completionMode"] == "Indexed"
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert MANIFEST["spec"]["network"]["enableDNSHostnames"] is True


def test_signals_reach_python_and_the_flags_exist():
    (container,) = pod_of(MANIFEST)["containers"]
    assert container["command"] == ["python", "-m", "launch.train"], "a shell would keep SIGTERM to itself"
    flags = {re.match(r"--(\w+)", argument)[1] for argument in container["args"]}
    assert flags <= {*defined_flags("launch.train"), "config"}
    assert container["args"][0] == "--config=configs/imagenet.py"
