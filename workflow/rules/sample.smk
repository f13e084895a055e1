# One draw file per image range and block: more votes add blocks, more images add ranges. Sequential draws have one file
# per range and need the selection votes, which choose the class. The draws of a run that starts from another run's
# answers (sampling.source) need that run's votes on the same images.
DRAWS = "results/runs/{run}/draws/{draws}/{purpose}/{images}_block{block}.parquet"


rule sample:
    input:
        reads("sample", DRAWS),
        weights=ancient("results/runs/{run}/model.safetensors"),
        source_model=ancient(named("sample", DRAWS, "source_model")),
    output:
        DRAWS,
    log:
        "results/runs/{run}/log/sample/{draws}-{purpose}-{images}_block{block}.txt",
    threads: cpus("sample", DRAWS)
    resources:
        gpu=gpus("sample", DRAWS),
        nodes=1,
    params:
        rs=command,
        spec=spec("sample", DRAWS),
        code=code("sample", DRAWS),
        job=whole("sample", DRAWS),
    shell:
        "{params.rs} sample --worker {log} --job {params.job:q}"
