# Many policies of each task of cheetah-vel, which docs/genhyper.md learns from, with experts of their own.
zeroshot experts build cheetah-vel --recipe sac-laptop --chain --handed-on 0 \
    --anchors velocity=1.461538462 --checkpoint-every 500 --checkpoint-last 16 --workers 1 \
    --out zoo/policies/cheetah-vel
mkdir -p zoo/alone/cheetah-vel
cp zoo/policies/cheetah-vel/*.json zoo/policies/cheetah-vel/*.safetensors zoo/alone/cheetah-vel
for zoo in policies alone; do
    zeroshot reproduce genhyper --zoo zoo/$zoo --suites cheetah-vel --parts table \
        --splits tasks:15 tasks:35 \
        --methods hyplatent hyplatent-sample hyplatent-without-adversary weight-regression \
        --out results/genhyper-$zoo
done
python docs/genhyper.py results/genhyper-policies results/genhyper-alone
