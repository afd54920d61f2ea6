zeroshot experts build finger-length --chain --anchors speed=-10,length=0.16 \
    --anchor-zoo zoo/finger-speed --warm-steps 250000 --out zoo/finger-length
