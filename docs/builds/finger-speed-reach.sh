zeroshot experts build finger-speed-reach --chain --anchors speed=15 speed=-15 \
    --anchor-zoo zoo/finger-speed --warm-steps 150000 --out zoo/finger-speed-reach
zeroshot experts audit finger-speed-reach --zoo zoo/finger-speed-reach --repair --episodes 1 \
    --confirm 40 --rounds 2 --warm-steps 300000 --seed 10
zeroshot experts audit finger-speed-reach --zoo zoo/finger-speed-reach --repair --episodes 1 \
    --confirm 40 --rounds 2 --warm-steps 300000 --seed 20
