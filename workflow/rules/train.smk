MODEL = "results/runs/{run}/model.json"


rule train:
    input:
        data=prepared("train", MODEL),
        calibrations=named("train", MODEL, "calibrations"),
        networks=named("train", MODEL, "networks"),
        weights=ancient(named("train", MODEL, "weights")),
    output:
        manifest=MODEL,
        weights="results/runs/{run}/model.safetensors",
        metrics="results/runs/{run}/training.parquet",
    wildcard_constraints:
        run="(?!imported-|joined-).+",
    log:
        "results/runs/{run}/log/train.txt",
    threads: cpus("train", MODEL)
    resources:
        gpu=gpus("train", MODEL),
        nodes=1,
    params:
        rs=command,
        spec=spec("train", MODEL),
        code=code("train", MODEL),
        job=whole("train", MODEL),
    shell:
        "{params.rs} train --worker {log} --job {params.job:q}"
