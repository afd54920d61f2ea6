zeroshot experts build finger-speed-length-reach --chain --along length --warm-steps 150000 \
    --anchors speed=-12,length=0.16 speed=-9,length=0.16 speed=-6,length=0.16 speed=-3,length=0.16 \
    speed=3,length=0.16 speed=6,length=0.16 speed=9,length=0.16 speed=12,length=0.16 \
    --anchor-zoo zoo/finger-speed-reach --out zoo/finger-speed-length-reach
