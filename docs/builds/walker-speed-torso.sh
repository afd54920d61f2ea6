# zoo/cross has the experts of zoo/walker-speed-torso-reach at 3 and 4 m/s, those of zoo/walker-torso on
# the grid, and that of zoo/walker-speed at 1 m/s
for torso in 0.{1,15,2,25,3,35,4,45,5}; do
    for speed in -4 -3 -2 -1; do backwards="$backwards speed=$speed,torso=$torso"; done
    for speed in 2 3 4; do forwards="$forwards speed=$speed,torso=$torso"; done
    slow="$slow speed=1,torso=$torso"
done
zeroshot experts build walker-speed-torso --chain --along torso --warm-steps 120000 \
    --anchors speed=1,torso=0.3 $forwards --only $slow $forwards --anchor-zoo zoo/cross \
    --out zoo/walker-speed-torso
zeroshot experts build walker-speed-torso --chain --along torso --warm-steps 120000 \
    --anchors $backwards --only $backwards --anchor-zoo zoo/walker-speed-torso-reach \
    --out zoo/walker-speed-torso
# one round, at commit f0fe9e2: 46 contexts trained on for 300,000 steps, each from the expert of zoo/walker-speed-torso
# or zoo/walker-speed-torso-reach that its manifest's warm_start names; kept was the best of old expert, successor and
# donor from 20 starts. Whom to train on, and from whom, was chosen by hand; the command then was that of a repair:
zeroshot experts audit walker-speed-torso --zoo zoo/walker-speed-torso --repair --episodes 1 --confirm 20 \
    --seed 81 --rounds 1 --warm-steps 300000  # stopped before its last audit
# a round of few steps, from the list of an audit: --seed 104 --episodes 1 --out found
zeroshot experts audit walker-speed-torso --zoo zoo/walker-speed-torso --repair --found found/walker-speed-torso.json \
    --threshold 0.012 --episodes 1 --seed 94 --rounds 1 --warm-steps 40000  # stopped before its last audit
# at -3 m/s with a torso of 0.3 m the older expert stays: it returns 1.7 % less, and walks at 2.8 m/s instead of 1.9
# another one: an audit with --seed 106 found 3 of 72 beaten
zeroshot experts audit walker-speed-torso --zoo zoo/walker-speed-torso --repair --found found/walker-speed-torso.json \
    --episodes 1 --decide 150 --seed 112 --rounds 1 --warm-steps 40000  # stopped before its last audit
# adoptions only: an audit with --seed 109 found 4 of 72 beaten; all above 1.75 % of its list
zeroshot experts audit walker-speed-torso --zoo zoo/walker-speed-torso --repair --adopt --found found/walker-speed-torso.json \
    --threshold 0.0175 --episodes 1 --decide 300 --seed 122 --rounds 1 --warm-steps 40000  # stopped before its last audit
