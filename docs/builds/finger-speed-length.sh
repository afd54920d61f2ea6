# zoo/finger-speed: an expert of each speed, from chains and short trainings with less and less noise
zeroshot experts build finger-speed-length --chain --along length --warm-steps 200000 \
    --anchors speed=-12,length=0.16 speed=-9,length=0.16 speed=-6,length=0.16 speed=-3,length=0.16 \
    speed=3,length=0.16 speed=6,length=0.16 speed=9,length=0.16 speed=12,length=0.16 \
    --anchor-zoo zoo/finger-speed --out zoo/finger-speed-length
zeroshot experts audit finger-speed-length --zoo zoo/finger-speed-length --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 2 --warm-steps 250000 --donors zoo/finger-length zoo/finger-speed
