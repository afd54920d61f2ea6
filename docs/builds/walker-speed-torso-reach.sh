# zoo/cross has the experts of zoo/walker-speed-reach and zoo/walker-torso-reach on the grid's lines,
# zoo/upright is that of docs/builds/walker-speed-reach.sh
zeroshot experts build walker-speed-torso-reach --chain --warm-steps 100000 --anchor-zoo zoo/cross \
    --anchors speed=-4,torso=0.3 speed=-3,torso=0.3 speed=-2,torso=0.3 speed=-1,torso=0.3 \
    speed=1,torso=0.3 speed=2,torso=0.3 speed=3,torso=0.3 speed=4,torso=0.3 speed=2,torso=0.1 \
    speed=2,torso=0.15 speed=2,torso=0.2 speed=2,torso=0.25 speed=2,torso=0.35 speed=2,torso=0.4 \
    speed=2,torso=0.45 speed=2,torso=0.5 --out zoo/walker-speed-torso-reach
zeroshot experts build walker-speed-torso-reach --chain --along torso --anchors speed=-2,torso=0.3 \
    --anchor-zoo zoo/upright --warm-steps 100000 --only speed=-2,torso=0.1 speed=-2,torso=0.15 \
    speed=-2,torso=0.2 speed=-2,torso=0.25 speed=-2,torso=0.3 speed=-2,torso=0.35 speed=-2,torso=0.4 \
    speed=-2,torso=0.45 speed=-2,torso=0.5 --out zoo/backwards
zeroshot experts build walker-speed-torso-reach --chain --anchors speed=2,torso=0.45 speed=3,torso=0.4 \
    --anchor-zoo zoo/walker-speed-torso-reach --warm-steps 200000 --only speed=2,torso=0.45 \
    speed=2,torso=0.5 speed=1,torso=0.45 speed=1,torso=0.5 speed=3,torso=0.4 speed=3,torso=0.45 \
    speed=4,torso=0.35 speed=4,torso=0.4 speed=4,torso=0.45 speed=4,torso=0.5 speed=3,torso=0.5 \
    --out zoo/long
# what has the higher return in zoo/backwards or zoo/long, by its manifest, replaces the first
# the weakest trained on, each from itself; better ones replace
weak="speed=-1,torso=0.35 speed=-1,torso=0.4 speed=-1,torso=0.45 speed=-1,torso=0.5 speed=-2,torso=0.45 \
    speed=-2,torso=0.5 speed=2,torso=0.5 speed=3,torso=0.45 speed=4,torso=0.4 speed=4,torso=0.45 \
    speed=4,torso=0.5"
zeroshot experts build walker-speed-torso-reach --chain --anchors $weak --only $weak --anchor-zoo \
    zoo/walker-speed-torso-reach --warm-steps 400000 --out zoo/weak
# two rounds in which the named ones were trained on for 400,000 steps, and successors kept where they were
# better than the old ones from 20 starts: first from themselves -2 m/s with torsos up to 0.4; -1 with 0.3 and
# 0.35; -3 and -4 with 0.1, 0.15 and 0.4; 4 with 0.45 and 0.5; from their neighbours -1 to -4 with 0.45 (from
# 0.4), 3 with 0.45 (0.5), 4 with 0.4 (0.35) and 0.3 (0.25), 2 with 0.5 (0.45)
# then -1, -3 and -4 with 0.5 (from 0.45), -2 with 0.45 and 0.5 (from -1 with 0.45), -3 and -4 with 0.2 and
# 0.25 (from 0.15)
# a third round, from the list of the audit in docs/results/audits at commit f0fe9e2
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair \
    --found walker-speed-torso-reach.json --threshold 0.015 --episodes 1 --seed 61 --rounds 1 \
    --warm-steps 400000  # stopped before its last audit
# a fourth round, from the list of the audit in docs/results/audits at commit aa42d98
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair \
    --found walker-speed-torso-reach.json --threshold 0.012 --episodes 1 --seed 65 --rounds 1 \
    --warm-steps 150000  # stopped before its last audit
# a round of few steps, from the list of an audit: --seed 104 --episodes 1 --out found (4 of 72 beaten)
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair \
    --found found/walker-speed-torso-reach.json --threshold 0.012 --episodes 1 --seed 97 --rounds 1 \
    --warm-steps 40000  # stopped before its last audit
# adoptions only: an audit with --seed 109 found 5 of 72 beaten; all above 1.2 % of its list
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair --adopt --found found/walker-speed-torso-reach.json \
    --threshold 0.012 --episodes 1 --decide 200 --seed 124 --rounds 1 --warm-steps 40000  # stopped before its last audit
# adoptions only: an audit with --decide 400 --seed 110 found 3 of 72 beaten; all above 0.9 % of its list
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair --adopt --found found/walker-speed-torso-reach.json \
    --threshold 0.009 --episodes 1 --decide 300 --seed 142 --rounds 1 --warm-steps 40000  # stopped before its last audit
# adoptions only: an audit with --decide 400 --seed 112 found 3 of 72 beaten; its list with the rivals that the mean
# of the matrices of that audit and of those with seeds 109 and 110 puts more than 2 % above the own expert: 24
zeroshot experts audit walker-speed-torso-reach --zoo zoo/walker-speed-torso-reach --repair --adopt --found found/walker-speed-torso-reach.json \
    --threshold 0.012 --episodes 1 --decide 200 --seed 143 --rounds 1 --warm-steps 40000  # stopped before its last audit
