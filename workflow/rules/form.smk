# The inference form of a run, for the forms that have to be tried out: draws and attacks use what it found.
FORM = "results/runs/{run}/forms/{form}.json"


rule form:
    input:
        data=PLAN.data_manifest,
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
    output:
        FORM,
    log:
        "results/runs/{run}/log/form-{form}.txt",
    threads: cpus("form", FORM)
    resources:
        gpu=gpus("form", FORM),
    params:
        rs=command,
        spec=spec("form", FORM),
        code=code("form", FORM),
        job=whole("form", FORM),
    shell:
        "{params.rs} form --worker {log} --job {params.job:q}"
