# One draw file per image range and block: more votes ask for more blocks, more images for more ranges. Sequential
# draws, one file per range, come after the selection votes, which say what class they are about.
DRAWS = "results/runs/{run}/draws/{draws}/{purpose}/{images}_block{block}.parquet"


rule sample:
    input:
        data=PLAN.data_manifest,
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
        form=form("sample", DRAWS),
        selection=lambda w: job("sample", DRAWS)(w).inputs.get("selection", []),
    output:
        DRAWS,
    log:
        "results/runs/{run}/log/sample/{draws}-{purpose}-{images}_block{block}.txt",
    threads: cpus("sample", DRAWS)
    resources:
        gpu=gpus("sample", DRAWS),
    params:
        rs=command,
        spec=spec("sample", DRAWS),
        code=code("sample", DRAWS),
        job=whole("sample", DRAWS),
    shell:
        "{params.rs} sample --worker {log} --job {params.job:q}"
