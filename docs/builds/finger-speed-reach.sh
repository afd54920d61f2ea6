zeroshot experts build finger-speed-reach --chain --anchors speed=15 speed=-15 \
    --anchor-zoo zoo/finger-speed --warm-steps 150000 --out zoo/finger-speed-reach
