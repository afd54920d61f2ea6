# zoo/first/walker-speed is the zoo that this one replaced, of commit c9eba9e
mkdir zoo/walker-anchors
cp zoo/walker-speed-reach/speed=-2.5_* zoo/walker-speed-reach/speed=1.5_* zoo/walker-speed-reach/speed=3_* \
    zoo/first/walker-speed/speed=-1_* zoo/walker-anchors
zeroshot experts build walker-speed --chain --anchors speed=-1 speed=-2.5 speed=1.5 speed=3 \
    --anchor-zoo zoo/walker-anchors --warm-steps 200000 --out zoo/walker-speed
zeroshot experts audit walker-speed --zoo zoo/walker-speed --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 1 --warm-steps 200000 --donors zoo/walker-speed-reach
# from the reach expert of the same speed, which walks upright down to -2.5 m/s
upright="speed=-3 speed=-2.75 speed=-2.5 speed=-2.25 speed=-2 speed=-1.75 speed=-1.5 speed=-1.25 speed=-1 speed=-0.75 \
    speed=0.25 speed=2 speed=4.25"
zeroshot experts build walker-speed --chain --anchors $upright --only $upright --anchor-zoo \
    zoo/walker-speed-reach --warm-steps 200000 --out zoo/walker-upright
# what has the higher return in zoo/walker-upright, by its manifest, replaces that of zoo/walker-speed
# a second round, from the list of the audit in docs/results/audits at commit 9a2ed79
zeroshot experts audit walker-speed --zoo zoo/walker-speed --repair --found walker-speed.json --threshold 0.015 \
    --episodes 1 --seed 35 --rounds 1 --warm-steps 300000
# in it also, from the expert named: -2 (too) and -1.75 from that of walker-speed-reach at -2, -2.25 from that at
# -2.25; -2.5 and -2.75 from zoo/fast (walker-speed-reach) at -2.5; -3 and -3.25 from -3 there; 5 from
# 4.75; 0.25 from 0.5
# a third round of 400,000 steps, successors kept where they were better than the old ones: 4.75 from 5,
# -4.25 from the reach expert, 4.25 from 4, 4.5 from the reach expert, -0.5 from -0.75, -2.25 from the reach
# expert at -2; tried and not kept: -3.25, -3, -2.75 (leaning), 5, -4.75, 2
# two that lean, and so keep nearer to their speed than the upright ones, which return as much; and 4.75:
# zoo/leaning-start has -3.25 and 4.75 of walker-speed-reach, -3 with torso 0.3 of walker-speed-torso
zeroshot experts build walker-speed --chain --anchors speed=-3.25 speed=-3 speed=4.75 \
    --only speed=-3.25 speed=-3 speed=4.75 --anchor-zoo zoo/leaning-start --warm-steps 500000 --out zoo/leaning
# these three replace
# a last round of few steps, from the list of the audit in docs/results/audits at commit 44136ef
zeroshot experts audit walker-speed --zoo zoo/walker-speed --repair --found walker-speed.json --threshold 0.015 \
    --episodes 1 --seed 96 --rounds 1 --warm-steps 40000  # stopped before its last audit
# another one: an audit with --seed 106 found 1 of 40 beaten; all above 0.9 % of its list
zeroshot experts audit walker-speed --zoo zoo/walker-speed --repair --found found/walker-speed.json \
    --threshold 0.009 --episodes 1 --seed 107 --rounds 1 --warm-steps 40000  # stopped before its last audit
