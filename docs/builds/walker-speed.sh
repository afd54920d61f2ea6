# zoo/first/walker-speed is the zoo that this one replaced, of commit c9eba9e
mkdir zoo/walker-anchors
cp zoo/walker-speed-reach/speed=-2.5_* zoo/walker-speed-reach/speed=1.5_* zoo/walker-speed-reach/speed=3_* \
    zoo/first/walker-speed/speed=-1_* zoo/walker-anchors
zeroshot experts build walker-speed --chain --anchors speed=-1 speed=-2.5 speed=1.5 speed=3 \
    --anchor-zoo zoo/walker-anchors --warm-steps 200000 --out zoo/walker-speed
zeroshot experts audit walker-speed --zoo zoo/walker-speed --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 1 --warm-steps 200000 --donors zoo/walker-speed-reach
