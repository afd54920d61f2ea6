zeroshot experts build finger-speed --chain --anchors speed=10 speed=-10 --warm-steps 500000 \
    --out zoo/finger-speed
