# zoo/finger-speed: an expert of each speed, from chains and short trainings with less and less noise
zeroshot experts build finger-speed-length --chain --along length --warm-steps 200000 \
    --anchors speed=-12,length=0.16 speed=-9,length=0.16 speed=-6,length=0.16 speed=-3,length=0.16 \
    speed=3,length=0.16 speed=6,length=0.16 speed=9,length=0.16 speed=12,length=0.16 \
    --anchor-zoo zoo/finger-speed --out zoo/finger-speed-length
