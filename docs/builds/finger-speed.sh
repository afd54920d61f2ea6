# zoo/first/finger-speed is the zoo that this one replaced, of commit e7aad5d2
zeroshot experts build finger-speed --only speed=-10 --chain --anchors speed=-10 \
    --anchor-zoo zoo/first/finger-speed --warm-steps 400000 --out zoo/finger-anchors
cp zoo/first/finger-speed/speed=10_* zoo/finger-anchors
zeroshot experts build finger-speed --chain --anchors speed=-10 speed=10 --anchor-zoo zoo/finger-anchors \
    --warm-steps 250000 --out zoo/finger-speed
# The slow ones again, with less noise at the end, each from its own expert:
mkdir zoo/finger-slow && mv zoo/finger-speed/speed={-,}[1-7]_* zoo/finger-slow
zeroshot experts build finger-speed --chain --anchors speed=7 speed=6 speed=5 speed=4 speed=3 speed=2 \
    speed=1 speed=-7 speed=-6 speed=-5 speed=-4 speed=-3 speed=-2 speed=-1 \
    --only speed=7 speed=6 speed=5 speed=4 speed=3 speed=2 speed=1 speed=-7 speed=-6 speed=-5 \
    speed=-4 speed=-3 speed=-2 speed=-1 --anchor-zoo zoo/finger-slow --warm-steps 250000 \
    --out zoo/finger-speed
