DATA = "results/data/{data}/manifest.json"


rule data:
    output:
        manifest=DATA,
        train="results/data/{data}/train.safetensors",
        test="results/data/{data}/test.safetensors",
    log:
        "results/data/{data}/log.txt",
    params:
        rs=command,
        spec=spec("data", DATA),
        code=code("data", DATA),
        job=whole("data", DATA),
        data_dir=lambda w, output: PLAN.study.data_dir or "",
    shell:
        "{params.rs} data --worker {log} --data-dir={params.data_dir:q} --job {params.job:q}"
