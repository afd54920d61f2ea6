zeroshot experts build finger-length-reach --chain --anchors length=0.16 --warm-steps 300000 \
    --out zoo/finger-length-reach
zeroshot experts audit finger-length-reach --zoo zoo/finger-length-reach --repair --episodes 1 \
    --warm-steps 300000  # stopped after its fifth round
