"""A Slurm of two nodes on one machine, in a directory of its own."""

import dataclasses
import getpass
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from tests.support import QUICK_TO_COMPILE
from tests.support.commands import REPOSITORY, process_environment
from tests.support.processes import free_port

SCRIPT = "launch/slurm/run.sbatch"
PATIENCE = 600  # seconds for what takes a few of them on an idle machine

# Slurm refuses two nodes with one address, and JAX connects to the first node by its name: the names are
# addresses of this machine, which need no entry in /etc/hosts. A node has more CPUs than the machine so that
# jobs do not wait for each other.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=15
CredType=cred/munge
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
GresTypes=gpu
FirstJobId={first_job}
NodeName=127.0.0.[1-2] NodeAddr=127.0.0.[1-2] Port=[{ports}] CPUs=64 Gres=gpu:8
PartitionName=gpu Nodes=ALL Default=YES State=UP
"""

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}


@dataclasses.dataclass
class Job:
    """What Slurm knows of a job or of one task of an array.

    Attributes:
      state: such as RUNNING.
      status: the exit status of the batch script.
      restarts: how often it was requeued.
    """

    state: str
    status: int
    restarts: int


class Cluster:
    """Munge, the controller of Slurm and two nodes, which end with `stop`.

    Attributes:
      directory: holds their files, and is removed by `stop`.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        """Start the daemons and wait until both nodes are idle.

        Args:
          directory: an empty one, with a path that is short enough for a socket.
        """
        self.directory = directory
        directory.chmod(0o755)  # munge wants that all users can reach its socket
        (directory / "state").mkdir()
        ports = _free_ports()
        configuration = CONFIGURATION.format(
            directory=directory,
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            controller_port=free_port(),
            ports=f"{ports}-{ports + 1}",
            # JAX derives its port from the number of the job; those of another cluster are other ones.
            first_job=ports,
        )
        (directory / "slurm.conf").write_text(configuration)
        for number in range(8):
            (directory / f"gpu{number}").touch()
        (directory / "gres.conf").write_text(f"Name=gpu File={directory}/gpu[0-7]\n")
        key = directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        self.environment = {
            name: value
            for name, value in process_environment(devices=2).items()
            if not name.startswith(("SLURM", "SBATCH", "SRUN"))
        }
        python = pathlib.Path(sys.executable).parent  # as in an environment that is active
        self.environment["PATH"] = f"{python}:{self.environment['PATH']}:/usr/sbin:/sbin"
        # Most of the time goes into compiling, also after a restart: JAX's cache has the programs of the
        # first process only, if the devices are CPUs.
        self.environment["XLA_FLAGS"] += f" {QUICK_TO_COMPILE}"
        self.environment["SLURM_CONF"] = str(directory / "slurm.conf")
        self._daemons: list[subprocess.Popen[bytes]] = []
        try:
            version = re.findall(r"\d+", self.call("slurmd", "-V"))[:2]
            if tuple(map(int, version)) >= (23, 11):  # which would want to write to the machine's cgroups
                (directory / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
            self._start(
                *("munged", "--foreground", f"--socket={directory}/munge.socket", f"--key-file={key}"),
                *(f"--pid-file={directory}/munged.pid", f"--log-file={directory}/munged.log"),
                *(f"--seed-file={directory}/munged.seed", "--force"),
            )
            wait_until((directory / "munge.socket").exists)
            self._start("slurmctld", "-D")
            for node in ("127.0.0.1", "127.0.0.2"):
                self._start("slurmd", "-D", "-N", node)
            wait_until(lambda: self._states() == {"idle"})
        except BaseException:
            for log in sorted(directory.glob("*.log")):
                print(f"{log.name}:\n{log.read_text()}")
            self.stop()
            raise

    def _start(self, *command: str) -> None:
        with (self.directory / f"{command[0]}-{command[-1]}.log".replace("/", "")).open("wb") as log:
            daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],  # ends with the tests, even if they are killed
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._daemons.append(daemon)

    def _states(self) -> set[str]:
        ended = [daemon.args for daemon in self._daemons if daemon.poll() is not None]
        assert not ended, ended
        process = self._call("sinfo", "--noheader", "--Node", "--format=%t")
        return set(process.stdout.split())

    def _call(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def call(self, *command: str, **variables: str) -> str:
        """Run a command of Slurm and return what it prints."""
        process = self._call(*command, **variables)
        assert process.returncode == 0, process.stderr
        return process.stdout

    def submit(self, directory: pathlib.Path, *arguments: str, **variables: str) -> str:
        """Submit the shipped script, with its logs in a directory, and return the number of the job.

        Args:
          directory: of the logs.
          arguments: the options of sbatch, "--", and the command.
          variables: further environment variables.
        """
        split = arguments.index("--")
        options, command = arguments[:split], arguments[split + 1 :]
        output = f"--output={directory}/slurm-{'%A_%a' if '--array' in ' '.join(options) else '%j'}.out"
        variables = {"LOGS": str(directory), **variables}
        return self.call("sbatch", "--parsable", output, *options, SCRIPT, *command, **variables).strip()

    def job(self, number: str) -> Job:
        """Return what Slurm knows of a job."""
        text = self.call("scontrol", "show", "job", number)
        values = dict(re.findall(r"(\w+)=(\S+)", text))
        return Job(values["JobState"], int(values["ExitCode"].partition(":")[0]), int(values["Restarts"]))

    def wait_for(self, number: str, condition: Callable[[], bool]) -> None:
        """Block until a condition holds, while a job runs."""

        def holds() -> bool:
            is_running = self.job(number).state not in ENDED
            return condition() or not is_running

        wait_until(holds)
        assert condition()

    def wait(self, number: str) -> Job:
        """Block until a job has ended for good."""
        wait_until(lambda: self.job(number).state in ENDED)
        return self.job(number)

    def stop(self) -> None:
        """End all jobs and daemons, and remove their files."""
        if len(self._daemons) == 4:
            self._call("scancel", "--full", "--signal=KILL", "--state=RUNNING", f"--user={getpass.getuser()}")
            self._call("scancel", f"--user={getpass.getuser()}")
            wait_until(lambda: not self._call("squeue", "--noheader").stdout)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(PATIENCE)
        shutil.rmtree(self.directory)


def wait_until(condition: Callable[[], bool]) -> None:
    """Block until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _free_ports() -> int:
    """Return a port at which nothing listens, nor at the next one."""
    while True:
        port = free_port()
        try:
            socket.create_server(("localhost", port + 1)).close()
        except OSError:
            continue
        return port
