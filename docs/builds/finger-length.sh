# zoo/finger-anchors: see finger-speed; the last 18 with less noise at the end than the first 13
zeroshot experts build finger-length --chain --anchors length=0.16 --anchor-zoo zoo/finger-anchors \
    --warm-steps 250000 --out zoo/finger-length
