zeroshot experts build cheetah-speed-torso-reach --chain --along torso --warm-steps 200000 \
    --anchors speed=-5,torso=0.5 speed=-4,torso=0.5 speed=-3,torso=0.5 speed=-2,torso=0.5 \
    speed=-1,torso=0.5 speed=1,torso=0.5 speed=2,torso=0.5 speed=3,torso=0.5 speed=4,torso=0.5 \
    speed=5,torso=0.5 --anchor-zoo zoo/cheetah-speed-reach --out zoo/cheetah-speed-torso-reach
zeroshot experts audit cheetah-speed-torso-reach --zoo zoo/cheetah-speed-torso-reach \
    --donors zoo/cheetah-speed-torso --repair --episodes 1 --confirm 20 --rounds 2 --warm-steps 300000 \
    --seed 10  # stopped after its first round
