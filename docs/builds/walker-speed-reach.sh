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
zeroshot experts build walker-speed-reach --chain --along speed --warm-steps 500000 --anchors speed=-2 \
    --anchor-zoo zoo/walker-speed-reach --only speed=-2 speed=-2.5 speed=-3 speed=-3.5 speed=-4 --out zoo/fast
# what has the higher return in zoo/fast replaces too
# a second round, from the list of the audit in docs/results/audits at commit 9a2ed79
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --found walker-speed-reach.json --threshold 0.015 \
    --episodes 1 --seed 34 --rounds 1 --warm-steps 300000
# in it also, from the expert named: -2, -1.75 and -2.25 m/s from zoo/fast at -2; -2.75 from -2.5 there;
# -3.25 from -3 there; -1.5 from -1.75; 0.75 from 1; 4.25 and 4.75 from 4.5; 5 from 4.75
# a last round of few steps, from the list of an audit: --seed 104 --episodes 1 --out found
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --found found/walker-speed-reach.json \
    --threshold 0.012 --episodes 1 --seed 92 --rounds 1 --warm-steps 40000  # stopped before its last audit
# another one: an audit with --seed 106 found 1 of 40 beaten; all above 0.9 % of its list
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --found found/walker-speed-reach.json \
    --threshold 0.009 --episodes 1 --seed 106 --rounds 1 --warm-steps 40000  # stopped before its last audit
# and another: an audit with --seed 107 found 2 of 40 beaten
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --found found/walker-speed-reach.json \
    --threshold 0.009 --episodes 1 --decide 150 --seed 110 --rounds 1 --warm-steps 40000  # stopped before its last audit
# and another: an audit with --decide 400 --seed 108 found 3 of 40 beaten
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --found found/walker-speed-reach.json \
    --threshold 0.009 --episodes 1 --decide 150 --seed 113 --rounds 1 --warm-steps 40000  # stopped before its last audit
# long training of the fastest, who fell in some starts
zeroshot experts build walker-speed-reach --chain --along speed --anchors speed=4.5 --anchor-zoo zoo/walker-speed-reach \
    --only speed=4.5 speed=4.25 speed=4.75 speed=4 speed=5 speed=3.75 --warm-steps 800000 --out zoo/fastest
mkdir zoo/from-4.75
cp zoo/fastest/speed=4.75_* zoo/from-4.75
zeroshot experts build walker-speed-reach --chain --along speed --anchors speed=4.75 \
    --only speed=4.75 speed=4.5 speed=4.25 speed=4 speed=3.75 speed=3.5 --warm-steps 600000 --seed 20 --out zoo/from-4.75
# of zoo/fastest: 4.5, 4.75 and 5 m/s; of zoo/from-4.75: 3.5, 3.75, 4 and 4.25; by the means of 60 episodes each
# adoptions only: an audit with --decide 400 --seed 109 found 1 of 40 beaten; all above 0.9 % of its list
zeroshot experts audit walker-speed-reach --zoo zoo/walker-speed-reach --repair --adopt --found found/walker-speed-reach.json \
    --threshold 0.009 --episodes 1 --decide 200 --seed 121 --rounds 1 --warm-steps 40000  # stopped before its last audit
