"""The cost of a study with many jobs before it computes, here and in another checkout: CPU seconds,
interleaved.

  python benchmarks/plans.py                      # 98,000 jobs planned, 2,000 weighed by Snakemake
  python benchmarks/plans.py --before ../old --rounds 3
  python benchmarks/plans.py --run                # those 2,000 run by Snakemake, with stages that do nothing
  python benchmarks/plans.py --done --jobs 10000  # jobs found done, by a run and by rs status

- `help` is `rs --help`.
- `plan` is the Snakefile's own work with 49 runs on all of ImageNet.
- `dry run` is Snakemake's with 4 such runs in shards of 200 images, or as --jobs says.
- `job` is a cluster node that gets one of those jobs and parses the workflow again, up to the job's start.
- `snakemake` is the same with a workflow of one rule.

CPU time does not count other processes' load. That load still slows caches, so rounds alternate and ratios
are of medians.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[1]
PLANNED = """
import resource, sys
from pathlib import Path
from rs.plan import mixed_draws, price, staleness
from rs.plan.plan import Plan
from rs.study.study import Study
plan = Plan(Study([Path(sys.argv[1])]))
staleness.settle(plan)
mixed_draws.settle(plan)
price.sentence(plan)
plan.tables_lineage
print(sum(1 for _ in plan.all_jobs()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
# A stage that only makes its files: called as `python -m rs STAGE --worker LOG --job JSON|- | --study ...`.
NOTHING = """
import json, os, sys
stage, log = sys.argv[3], sys.argv[sys.argv.index("--worker") + 1]
if "--job" in sys.argv:
    text = sys.argv[sys.argv.index("--job") + 1]
    files = json.loads(sys.stdin.read() if text == "-" else text)["outputs"].values()
else:
    study = os.path.dirname(os.path.dirname(log))
    tables = [f"{study}/tables/{name}.parquet" for name in TABLES]
    page, tracked = f"{study}/report.html", f"{study}/mlflow.json"
    files = {"aggregate": tables, "report": [page], "track": [tracked]}[stage]
    os.makedirs(f"{study}/figures", exist_ok=True)
for file in files:
    os.makedirs(os.path.dirname(file), exist_ok=True)
    open(file, "w").write(stage)
"""
# Snakemake with every job taken as done: all files are made, with one time, and Snakemake writes the records
# of finished jobs. --touch writes the same, but sleeps a tenth of a second for each.
RECORDED = """
import os, sys, time
from pathlib import Path
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler
async def finish(dag):
    jobs, now = list(dag.needrun_jobs()), time.time()
    for file in (file for job in jobs for file in job.output):
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if file.is_directory else path.write_text("{}")
        os.utime(path, (now, now))
    for job in jobs:
        await dag.workflow.persistence.finished(job)
    print(len(jobs), "jobs")
def schedule(self):
    self.workflow.async_run(finish(self.workflow.dag))
    return True
JobScheduler.schedule = schedule
main(sys.argv[1:])
"""
ONE_RULE = 'rule a:\n    output: "a.txt"\n    shell: "touch {output}"\n'
AS_A_NODE = ("--cores", "1", "--force", "--nolock", "--no-hooks", "--mode", "subprocess", "--dry-run")


def write_study(path: Path, runs: int, images_per_shard: int) -> Path:
    """`runs` networks on all 50,000 test images of ImageNet."""
    study = {"name": path.stem, "data": {"name": "imagenet"}, "model": {"name": "resnet50"}}
    study |= {"objective": {"name": "gaussian"}, "noise": {"name": "gaussian", "sigma": 0.5}}
    study |= {"sampling": {"n": 10_000, "images_per_shard": images_per_shard, "precision": "bfloat16"}}
    study |= {
        "certificates": [{"name": "cohen", "alpha": 0.001}],
        "runs": {"a": {"seeds": list(range(runs))}},
    }
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def cpu(command: list[str], checkout: Path, folder: Path) -> tuple[float, str]:
    """CPU seconds of a command and all its child processes, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(checkout), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def round_of(checkout: Path, folder: Path) -> dict[str, float]:
    """One round in a checkout. `folder` holds both studies, and `one/Snakefile` with the one rule."""
    python = [sys.executable, "-c"]
    study = ["-s", str(checkout / "Snakefile"), "--configfile", "../weighed.yaml"]
    costs = {"help": cpu([sys.executable, "-m", "rs", "--help"], checkout, folder)[0]}
    costs["plan"], output = cpu([*python, PLANNED, "planned.yaml"], checkout, folder)
    costs["jobs"], costs["megabytes"] = map(float, output.split())
    fresh = folder / "fresh"
    fresh.mkdir(exist_ok=True)
    dry = snakemake(*study, "--cores", "1", "--dry-run", "--quiet")
    costs["dry run"] = cpu(dry, checkout, fresh)[0]
    job = ("--target-jobs", "data:data=imagenet", "--allowed-rules", "data", *AS_A_NODE)
    costs["job"] = cpu(snakemake(*study, *job), checkout, fresh)[0]
    one = snakemake("--target-jobs", "a:", "--allowed-rules", "a", *AS_A_NODE)
    costs["snakemake"] = cpu(one, checkout, folder / "one")[0]
    shutil.rmtree(fresh)
    return costs


def prepare(checkout: Path, folder: Path) -> None:
    """Puts the workflow into `folder`, with stages that do nothing."""
    result = cpu([sys.executable, "-c", "from rs.plan.plan import TABLES; print(TABLES)"], checkout, folder)
    worker = folder / "nothing.py"
    worker.write_text(f"TABLES = {result[1]}{NOTHING}")
    shutil.copytree(checkout / "workflow", folder / "workflow")
    shutil.copy(checkout / "Snakefile", folder)
    rules = folder / "workflow/rules/common.smk"
    lines = [
        f"PYTHON = '{sys.executable} -I -S {worker}'" if line.startswith("PYTHON = ") else line
        for line in rules.read_text().splitlines()
    ]
    rules.write_text("\n".join(lines) + "\n")


def simulated(checkout: Path, folder: Path) -> str:
    """Runs the 2,000 jobs with stages that do nothing, then Snakemake again with nothing to do."""
    prepare(checkout, folder)
    command = snakemake("--configfile", "weighed.yaml", "--cores", "4", "--quiet")
    ran, again = (cpu(command, checkout, folder)[0] for _ in range(2))
    files = sum(1 for _ in folder.glob("results/runs/*/draws/*/*/*.parquet"))
    each = 1000 * ran / files
    text = f"{files} draw files: {ran:.1f} s of CPU to run all ({each:.0f} ms each)"
    return f"{text}, {again:.1f} s to find all done"


def recorded(checkout: Path, folder: Path, jobs: int) -> None:
    """Makes `folder` with a study of `jobs` jobs of votes whose files all exist and are recorded."""
    folder.mkdir()
    write_study(folder / "weighed.yaml", 4, 4 * 2 * 50_000 // jobs)
    for part in ("workflow", "Snakefile"):  # rs status takes the workflow where it runs
        (folder / part).symlink_to(checkout / part)
    arguments = ["--configfile", "weighed.yaml", "--cores", "1", "--quiet", "--forceall"]
    took, output = cpu([sys.executable, "-c", RECORDED, *arguments], checkout, folder)
    print(
        f"{folder.name}: {output.split('jobs')[0].split()[-1]} jobs, recorded as done in {took:.1f} s of CPU"
    )


def found_done(checkout: Path, folder: Path) -> dict[str, float]:
    """Seconds of a run that finds all jobs of `recorded` done, and of `rs status`."""
    done = cpu(snakemake("--configfile", "weighed.yaml", "--cores", "1"), checkout, folder)[0]
    status = [sys.executable, "-m", "rs", "status", "--study", "weighed.yaml"]
    took, output = cpu(status, checkout, folder)
    counts = [line.split()[-3:] for line in output.splitlines() if line.split()[-2:] == ["0", "0"]]
    return {"found done": done, "rs status": took, "files": sum(int(words[0]) for words in counts)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2000, help="of votes, in Snakemake's runs and dry runs")
    parser.add_argument("--run", action="store_true", help="run the jobs, instead of planning them")
    parser.add_argument("--done", action="store_true", help="find the jobs done")
    args = parser.parse_args()
    checkouts = {"now": HERE} | ({"before": args.before.resolve()} if args.before else {})
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_study(folder / "planned.yaml", 49, 50)
        write_study(folder / "weighed.yaml", 4, 4 * 2 * 50_000 // args.jobs)
        if args.run:
            print(simulated(HERE, folder))
            return
        (folder / "one").mkdir()
        (folder / "one/Snakefile").write_text(ONE_RULE)
        if args.done:
            for name, checkout in checkouts.items():
                recorded(checkout, folder / name, args.jobs)
        for _ in range(args.rounds):
            for name, checkout in checkouts.items():
                costs = found_done(checkout, folder / name) if args.done else round_of(checkout, folder)
                rounds[name].append(costs)
    for key in rounds["now"][0]:
        medians = {name: statistics.median(r[key] for r in costs) for name, costs in rounds.items()}
        shown = "  ".join(f"{name} {value:.2f}" for name, value in medians.items())
        ratio = f"  ratio {medians['now'] / medians['before']:.2f}" if "before" in medians else ""
        print(f"{key:<10} {shown}{ratio}")


if __name__ == "__main__":
    main()
