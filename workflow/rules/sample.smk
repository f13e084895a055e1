# One draw file per image range and block: more votes ask for more blocks, more images for more ranges. Sequential
# draws, one file per range, come after the selection votes, which say what class they are about; those of a run that
# starts from another one's answers (sampling.source) after that one's votes of the same images.
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
    params:
        rs=command,
        spec=spec("sample", DRAWS),
        code=code("sample", DRAWS),
        job=whole("sample", DRAWS),
    shell:
        "{params.rs} sample --worker {log} --job {params.job:q}"
