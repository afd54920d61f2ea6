zeroshot experts build cheetah-torso-reach --chain --anchors speed=4,torso=0.5 \
    --anchor-zoo zoo/cheetah-speed-reach --warm-steps 500000 --out zoo/cheetah-torso-reach
zeroshot experts audit cheetah-torso-reach --zoo zoo/cheetah-torso-reach --donors zoo/cheetah-torso --repair \
    --episodes 1 --warm-steps 500000
