zeroshot experts build walker-torso --chain --anchors speed=2,torso=0.3 --anchor-zoo zoo/walker-speed \
    --warm-steps 80000 --out zoo/walker-torso
