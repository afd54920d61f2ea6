# Many policies of each task, which docs/genhyper.md learns from; half an hour and ten minutes of a core.
zeroshot experts build cheetah-vel --recipe sac-laptop --chain --handed-on 0 --anchors all \
    --anchor-zoo experts/zoo/cheetah-vel --warm-steps 20000 --checkpoint-every 500 \
    --checkpoint-from 10000 --workers 1 --out zoo/longer/cheetah-vel
zeroshot experts turn ant-dir --home direction=1.410510987 --zoo experts/zoo/ant-dir \
    --warm-steps 200000 --checkpoint-every 5000 --checkpoint-from 100000 --out zoo/longer/ant-dir
for suite in cheetah-vel ant-dir; do
    mkdir -p zoo/policies/$suite
    cp experts/zoo/$suite/*.json experts/zoo/$suite/*.safetensors zoo/policies/$suite
    cp -r zoo/longer/$suite/checkpoints zoo/policies/$suite
done
zeroshot reproduce genhyper --zoo zoo/policies --parts table --out results/genhyper-policies \
    --methods hyplatent hyplatent-sample hyplatent-without-adversary weight-regression
