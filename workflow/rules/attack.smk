ATTACKS = "results/runs/{run}/attacks/{attack}.parquet"


rule attack:
    input:
        data=prepared("attack", ATTACKS),
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
        form=named("attack", ATTACKS, "form"),
        source=named("attack", ATTACKS, "source"),
        source_weights=ancient(named("attack", ATTACKS, "source_weights")),
    output:
        ATTACKS,
    log:
        "results/runs/{run}/log/attack-{attack}.txt",
    threads: cpus("attack", ATTACKS)
    resources:
        gpu=gpus("attack", ATTACKS),
        nodes=1,
    params:
        rs=command,
        spec=spec("attack", ATTACKS),
        code=code("attack", ATTACKS),
        job=whole("attack", ATTACKS),
    shell:
        "{params.rs} attack --worker {log} --job {params.job:q}"
