"""ImageNet's 50,000 images on 9 networks, through Snakemake and a real Slurm whose nodes compute nothing.

  python benchmarks/cluster.py                 # 8 nodes with 8 GPUs, 1,000 images per shard: 922 jobs
  python benchmarks/cluster.py --images-per-shard 500 --at-once 300
  python benchmarks/cluster.py --nodes-parse --runs 1 --images-per-shard 25000

Snakemake, the rules, their profile, slurmctld and a slurmd per node are real and are started here, on
127.0.0.1. A node writes the job's files without Snakemake, which would take seconds of CPU per job; a cluster
has these, one machine does not. With --nodes-parse nodes work as in a cluster: Snakemake parses the workflow
there and starts the stage, which does nothing. Needs root, and slurmctld, slurmd and slurm-client.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from plans import HERE, prepare, write_study

CONF = """
ClusterName=fake
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=node[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs=64 RealMemory=512000 \\
    Gres=gpu:8
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Replaces a node's Python: called as `-m snakemake ... --target-jobs RULE:WILDCARD=VALUE,... ...`.
NODE = """
import os, sys
rule, _, text = sys.argv[sys.argv.index("--target-jobs") + 1].partition(":")
run = "results/runs/{run}/"
outputs = {
    "train": [run + "model.json", run + "model.safetensors", run + "training.parquet"],
    "sample": [run + "draws/{draws}/{purpose}/{images}_block{block}.parquet"],
    "certify": [run + "certified/{certified}.parquet"],
}
for file in outputs[rule]:
    file = file.format(**dict(part.split("=", 1) for part in text.split(",")))
    os.makedirs(os.path.dirname(file), exist_ok=True)
    open(file, "w").write(rule)
"""
AS_ANOTHER = "import sys; sys.executable = sys.argv.pop(1); from snakemake.cli import main; main()"


@contextlib.contextmanager
def slurm(folder: Path, nodes: int, port: int = 17000) -> Iterator[dict[str, str]]:
    """A cluster on this machine; yields the environment in which its commands find it."""
    (folder / "state").mkdir()
    conf = folder / "slurm.conf"
    ports = f"[{port + 1}-{port + nodes}]" if nodes > 1 else str(port + 1)
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(host=host, port=port, ports=ports, nodes=nodes, folder=folder))
    for i in range(8):  # a node's GPUs: devices that swallow everything
        os.mknod(folder / f"gpu{i}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-7]\n")
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    commands = [["slurmctld", "-D", "-f", str(conf)]]
    commands += [["slurmd", "-D", "-f", str(conf), "-N", f"node{i + 1}"] for i in range(nodes)]
    for i in range(nodes):
        (folder / f"spool-node{i + 1}").mkdir()
    started = []
    try:
        for command in commands:
            with open(folder / "started.txt", "a") as log:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        for _ in range(60):
            reply = subprocess.run(
                ["sinfo", "-h", "-o", "%D %T"], env=environment, capture_output=True, text=True, check=False
            )
            if reply.stdout.strip() == f"{nodes} idle":
                break
            time.sleep(1)
        else:
            raise SystemExit(
                f"no cluster: {reply.stdout}{reply.stderr}{(folder / 'started.txt').read_text()}"
            )
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def processor(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--images-per-shard", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=200, help="jobs that Slurm holds at a time")
    parser.add_argument("--nodes-parse", action="store_true", help="nodes start Snakemake, as a cluster's do")
    parser.add_argument("--minutes", type=int, default=40, help="it is given up then")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_study(folder / "weighed.yaml", args.runs, args.images_per_shard)
        prepare(HERE, folder)
        node = folder / "node"
        node.write_text(f"#!{sys.executable} -IS\n{NODE}")
        node.chmod(0o755)
        arguments = ["--configfile", "weighed.yaml", "--workflow-profile", "workflow/profiles/slurm"]
        arguments += ["--jobs", str(args.at_once), "--seconds-between-status-checks", "3", "--retries", "0"]
        python = sys.executable if args.nodes_parse else str(node)
        command = [sys.executable, "-c", AS_ANOTHER, python, *arguments]
        with slurm(folder, args.nodes) as environment:
            environment |= {"PYTHONPATH": str(HERE), "NO_COLOR": "1"}
            before, began = processor(resource.RUSAGE_CHILDREN), time.monotonic()
            with open(folder / "told.txt", "w") as log:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    timeout=60 * args.minutes,
                    check=False,
                )
            wall, used = time.monotonic() - began, processor(resource.RUSAGE_CHILDREN) - before
        text = (folder / "told.txt").read_text()
        if done.returncode or not (folder / "results/weighed/mlflow.json").is_file():
            raise SystemExit(text[-6000:])
        jobs = re.findall(r"^(\d+) of \1 steps", text, re.MULTILINE)
        slurms = len(set(re.findall(r"SLURM jobid '?(\d+)", text)))
        print(
            f"{jobs[-1]} jobs finished, {slurms} of them by Slurm; {args.nodes} nodes, {8 * args.nodes} GPUs"
        )
        print(f"{wall:.0f} s; Snakemake and what it starts here: {used:.0f} s of CPU")


if __name__ == "__main__":
    main()
