# zoo/first/walker-speed is the zoo that zoo/walker-speed replaced, of commit c9eba9e
zeroshot experts build walker-speed-reach --only speed=-2 --out zoo/walker-start
cp zoo/first/walker-speed/speed=2_* zoo/walker-start
zeroshot experts build walker-speed-reach --chain --anchors speed=-2 speed=2 --anchor-zoo zoo/walker-start \
    --warm-steps 200000 --out zoo/walker-speed-reach
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 1 --warm-steps 200000 --donors zoo/walker-speed
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --episodes 1 --confirm 20 \
    --seed 20 --rounds 1 --warm-steps 200000 --donors zoo/walker-speed  # stopped before its last audit
zeroshot experts build walker-speed-reach --chain --anchors speed=-1.25 --anchor-zoo zoo/walker-speed-reach \
    --only speed=-1.25 speed=-1.5 speed=-1.75 speed=-2 speed=-2.5 speed=-3 speed=-2.25 speed=-1 \
    --warm-steps 300000 --out zoo/upright
# what has the higher return in zoo/upright, by its manifest, replaces that of zoo/walker-speed-reach
