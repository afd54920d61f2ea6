zeroshot experts build finger-length-reach --chain --anchors speed=-10,length=0.16 \
    --anchor-zoo zoo/finger-length --warm-steps 200000 --out zoo/finger-length-reach
