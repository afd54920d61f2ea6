zeroshot experts build cheetah-speed --chain --anchors speed=4 speed=-4 --out zoo/cheetah-speed
zeroshot experts repair cheetah-speed --donors zoo/cheetah-speed-reach --threshold 0.01 \
    --seed 100 --out zoo/cheetah-speed
zeroshot experts repair cheetah-speed --donors zoo/cheetah-speed-reach --threshold 0.01 \
    --seed 200 --out zoo/cheetah-speed
