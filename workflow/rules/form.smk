# Finds the inference form of a run, for forms that have to be tried out. Draws and attacks use the result.
FORM = "results/runs/{run}/forms/{form}.json"


rule form:
    input:
        data=prepared("form", FORM),
        model=MODEL,
        weights=ancient("results/runs/{run}/model.safetensors"),
    output:
        FORM,
    log:
        "results/runs/{run}/log/form-{form}.txt",
    threads: cpus("form", FORM)
    resources:
        gpu=gpus("form", FORM),
        nodes=1,
    params:
        rs=command,
        spec=spec("form", FORM),
        code=code("form", FORM),
        job=whole("form", FORM),
    shell:
        "{params.rs} form --worker {log} --job {params.job:q}"
