CALIBRATION = "results/runs/{run}/calibration/{calibration}.json"


rule calibrate:
    input:
        data=prepared("calibrate", CALIBRATION),
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
    output:
        CALIBRATION,
    log:
        "results/runs/{run}/log/calibrate-{calibration}.txt",
    threads: cpus("calibrate", CALIBRATION)
    resources:
        gpu=gpus("calibrate", CALIBRATION),
        nodes=1,
    params:
        rs=command,
        spec=spec("calibrate", CALIBRATION),
        code=code("calibrate", CALIBRATION),
        job=whole("calibrate", CALIBRATION),
    shell:
        "{params.rs} calibrate --worker {log} --job {params.job:q}"
