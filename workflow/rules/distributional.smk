# Moves test images at every price gamma, under one smoothing noise. `aggregate` derives the certificates from them.
DISTRIBUTIONAL = "results/runs/{run}/distributional/{distributional}.parquet"


rule distributional:
    input:
        data=prepared("distributional", DISTRIBUTIONAL),
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
    output:
        DISTRIBUTIONAL,
    log:
        "results/runs/{run}/log/distributional-{distributional}.txt",
    threads: cpus("distributional", DISTRIBUTIONAL)
    resources:
        gpu=gpus("distributional", DISTRIBUTIONAL),
        nodes=1,
    params:
        rs=command,
        spec=spec("distributional", DISTRIBUTIONAL),
        code=code("distributional", DISTRIBUTIONAL),
        job=whole("distributional", DISTRIBUTIONAL),
    shell:
        "{params.rs} distributional --worker {log} --job {params.job:q}"
