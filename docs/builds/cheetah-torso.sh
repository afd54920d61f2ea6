zeroshot experts build cheetah-torso --chain --anchors speed=4,torso=0.5 \
    --anchor-zoo zoo/cheetah-speed --warm-steps 500000 --out zoo/cheetah-torso
zeroshot experts audit cheetah-torso --zoo zoo/cheetah-torso --donors zoo/cheetah-torso-reach --repair \
    --episodes 1 --warm-steps 500000
