zeroshot experts build walker-torso --chain --anchors speed=2,torso=0.3 --anchor-zoo zoo/walker-speed \
    --warm-steps 80000 --out zoo/walker-torso
# from the reach expert of the same body, where the first build fell
long="speed=2,torso=0.11 speed=2,torso=0.12 speed=2,torso=0.18 speed=2,torso=0.25 speed=2,torso=0.28 \
    speed=2,torso=0.3 speed=2,torso=0.34 speed=2,torso=0.39 speed=2,torso=0.4 speed=2,torso=0.41 \
    speed=2,torso=0.42 speed=2,torso=0.43 speed=2,torso=0.44 speed=2,torso=0.45 speed=2,torso=0.46 \
    speed=2,torso=0.47 speed=2,torso=0.48 speed=2,torso=0.49 speed=2,torso=0.5"
zeroshot experts build walker-torso --chain --anchors $long --only $long --anchor-zoo zoo/walker-torso-reach \
    --warm-steps 150000 --out zoo/walker-long
# what has the higher return in zoo/walker-long, by its manifest, replaces that of zoo/walker-torso
zeroshot experts audit walker-torso --zoo zoo/walker-torso --repair --episodes 1 --confirm 20 \
    --seed 11 --rounds 1 --warm-steps 150000 --donors zoo/walker-torso-reach  # stopped before its last audit
# a second round, from the list of the audit in docs/results/audits at commit 9a2ed79
zeroshot experts audit walker-torso --zoo zoo/walker-torso --repair --found walker-torso.json --threshold 0.015 \
    --episodes 1 --seed 33 --rounds 1 --warm-steps 300000
# a last round of few steps, from the list of an audit: --seed 104 --episodes 1 --out found
zeroshot experts audit walker-torso --zoo zoo/walker-torso --repair --found found/walker-torso.json \
    --threshold 0.012 --episodes 1 --seed 91 --rounds 1 --warm-steps 40000  # stopped before its last audit
# another one: an audit with --decide 400 --seed 106 found 5 of 41 beaten; all above 0.9 % of its list
zeroshot experts audit walker-torso --zoo zoo/walker-torso --repair --found found/walker-torso.json \
    --threshold 0.009 --episodes 1 --decide 150 --seed 108 --rounds 1 --warm-steps 40000  # stopped before its last audit
