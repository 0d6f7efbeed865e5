"""The start and the end of a run with many processes."""

import atexit
import contextlib
import faulthandler
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import NoReturn

import jax
from jax._src import clusters  # JAX has no public function that tells whether it finds one

from flax_googlenet.distributed import survival
from flax_googlenet.distributed.coordination import (
    PATIENCE,
    client,
    exchange,
    gather,
    meet,
    name_hosts,
    process_count,
    process_index,
    publish,
)
from flax_googlenet.distributed.watchdog import PATIENCE as PATIENCE_OF_WATCHDOG
from flax_googlenet.distributed.watchdog import SILENCE, Watchdog, end_process
from flax_googlenet.errors import UserError

_watchdog: Watchdog | None = None


def start(
    coordinator: str = "",
    number_of_processes: int | None = None,
    process_id: int | None = None,
    *,
    deadline: float = PATIENCE,
    silence: float = SILENCE,
    survives: bool = False,
) -> None:
    """Join the other processes of the run. Without a cluster, and without arguments, do nothing.

    JAX finds Slurm, Cloud TPU, Kubernetes jobs and Open MPI by their environment variables. Elsewhere all
    three arguments are needed. A process that is the only one on its host takes all devices of the host.

    Args:
      coordinator: HOST:PORT at which the first process listens; "" to ask the cluster.
      number_of_processes: of the run.
      process_id: number of this process, from 0.
      deadline: seconds to wait for the other processes.
      silence: seconds without a sign of life after which another process counts as dead, which ends this one.
      survives: whether to go on without processes that are lost, as `survival` does.

    Raises:
      UserError: if the processes do not find each other.
    """
    global _watchdog
    if not coordinator and not _is_in_cluster(os.environ):
        return
    # JAX's own handler would keep SIGTERM from ending a process that does not ask it at every step.
    jax.config.update("jax_enable_preemption_service", False)
    beyond = round(2 * silence + 60)
    if survives:
        survival.turn_on()
        # JAX has to notice first, and the survivors to leave what they compute.
        heartbeat, silence = round(silence), beyond
    else:
        heartbeat = beyond  # JAX would end a process with a stack trace
    if faulthandler.is_enabled():
        # JAX aborts in a thread of its own if the first process dies. Python's stack traces of all threads,
        # which run on in the meantime, can turn that into a segmentation fault.
        faulthandler.enable(all_threads=False)
    where = coordinator or "the first process of the job"
    timer = threading.Timer(deadline, _give_up, (where, deadline))
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            coordinator or None,
            number_of_processes,
            process_id,
            local_device_ids=[] if _is_alone_on_host(os.environ) else None,
            # Longer than ours, since JAX ends a process with a stack trace.
            initialization_timeout=round(deadline + 60),
            heartbeat_timeout_seconds=heartbeat,
        )
    except RuntimeError as error:
        raise UserError(
            f"This process cannot join the others at {where}: {str(error).splitlines()[0]}; check that the "
            "address is that of the first process, with a port that is free."
        ) from error
    finally:
        timer.cancel()
    if process_count() == 1:
        return
    name_hosts(exchange("host name", socket.gethostname(), deadline=deadline))
    _watchdog = Watchdog(silence)
    atexit.register(_watchdog.stop)


def _give_up(where: str, deadline: float) -> NoReturn:
    end_process(
        f"The processes of this run did not find each other at {where} within {deadline:.0f} s; start all of "
        "them at the same time, on hosts that reach each other."
    )


def wait_for_cause() -> None:
    """Wait until the watchdog could have found why a common operation of the devices failed.

    If another process died, the watchdog ends this one in the meantime, and names it.
    """
    if _watchdog is not None:
        time.sleep(_watchdog.silence + PATIENCE_OF_WATCHDOG)


def finish(status: int | None = None) -> None:
    """Wait for the other processes at the end of a run.

    Args:
      status: the exit status, to end this process as `end_in_order` does; None to go on. If the run survives
        the loss of processes, None means 0.

    Raises:
      UserError: if one does not come in time.
    """
    if _watchdog is not None:
        meet("end of the run")
        _watchdog.stop()
        if status is not None or survival.is_on():
            end_in_order(status or 0)


def end_in_order(status: int) -> None:
    """End this process, unless it is the first one, which waits until the others have ended.

    The first process holds the coordination service. JAX may abort another one that ends after it.

    Args:
      status: the exit status.
    """
    if process_index() == 0:
        publish("end", "")
        gather("end")
        time.sleep(1.0)  # they end right after their messages
        return
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        publish("end", "")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def end_all(failure: str) -> bool:
    """Tell the other processes that this one fails, so that they end, too.

    Args:
      failure: the sentence with which this process ends.

    Returns:
      Whether there are other processes. JAX would wait for them if this one ended as usual.
    """
    if _watchdog is not None:
        _watchdog.fail(failure)
    return client() is not None and process_count() > 1


def leave() -> None:
    """Tell the other processes that this one ends at once because of a notice, so that they end, too."""
    if _watchdog is not None:
        _watchdog.leave()


def _is_alone_on_host(environment: Mapping[str, str]) -> bool:
    """Return whether a cluster runs one process on each host. JAX would give it one device only.

    >>> _is_alone_on_host({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"})
    True
    >>> _is_alone_on_host({"SLURM_STEP_TASKS_PER_NODE": "8(x4)"})
    False
    """
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("OMPI_COMM_WORLD_LOCAL_SIZE", ""))
    return set(re.sub(r"\(x\d+\)", "", tasks).split(",")) == {"1"}


def _is_in_cluster(environment: Mapping[str, str]) -> bool:
    """Return whether JAX finds a cluster that runs more than one process.

    >>> _is_in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    False
    """
    in_pod, in_job = "KUBERNETES_SERVICE_HOST" in environment, "JOB_COMPLETION_INDEX" in environment
    if in_pod and not in_job and "TPU_WORKER_ID" not in environment:
        return False  # JAX fails in a pod that is not part of an indexed job
    kinds = clusters.ClusterEnv._cluster_types
    found = next((kind for kind in kinds if not kind.opt_in_only_method and kind.is_env_present()), None)
    return found is not None and found.get_process_count() > 1
