zeroshot experts build cheetah-speed-reach --chain --anchors speed=10 speed=-10 \
    --anchor-zoo zoo/cheetah-speed --out zoo/cheetah-speed-reach
zeroshot experts repair cheetah-speed-reach --donors zoo/cheetah-speed --threshold 0.01 \
    --seed 100 --out zoo/cheetah-speed-reach
zeroshot experts repair cheetah-speed-reach --donors zoo/cheetah-speed --threshold 0.01 \
    --seed 200 --out zoo/cheetah-speed-reach
