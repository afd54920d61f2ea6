zeroshot experts build cheetah-speed-torso --chain --along torso --warm-steps 300000 \
    --anchors speed=-5,torso=0.5 speed=-4,torso=0.5 speed=-3,torso=0.5 speed=-2,torso=0.5 \
    speed=-1,torso=0.5 speed=1,torso=0.5 speed=2,torso=0.5 speed=3,torso=0.5 speed=4,torso=0.5 \
    speed=5,torso=0.5 --anchor-zoo zoo/cheetah-speed --out zoo/cheetah-speed-torso
zeroshot experts audit cheetah-speed-torso --zoo zoo/cheetah-speed-torso --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 2 --warm-steps 300000 --donors zoo/cheetah-speed-torso-reach
