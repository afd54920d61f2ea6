zeroshot experts build walker-torso-reach --chain --anchors speed=2,torso=0.3 \
    --anchor-zoo zoo/walker-speed-reach --warm-steps 80000 --out zoo/walker-torso-reach
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 2 --warm-steps 150000 --donors zoo/walker-torso  # stopped after its first round
# a second round, from the list of the audit in docs/results/audits at commit 9a2ed79
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair --found walker-torso-reach.json --threshold 0.015 \
    --episodes 1 --seed 32 --rounds 1 --warm-steps 300000
# a third round, from the list of the audit at commit f0fe9e2
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair \
    --found walker-torso-reach.json --threshold 0.015 --episodes 1 --seed 62 --rounds 1 \
    --warm-steps 400000  # stopped before its last audit
# a last round of few steps, from the list of an audit: --seed 104 --episodes 1 --out found
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair --found found/walker-torso-reach.json \
    --threshold 0.012 --episodes 1 --seed 95 --rounds 1 --warm-steps 40000  # stopped before its last audit
# adoptions only: an audit with --decide 400 --seed 109 found 2 of 41 beaten; all above 0.9 % of its list
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair --adopt --found found/walker-torso-reach.json \
    --threshold 0.009 --episodes 1 --decide 200 --seed 120 --rounds 1 --warm-steps 40000  # stopped before its last audit
# and again: an audit with --decide 400 --seed 110 found 1 of 41 beaten; all above 0.9 % of its list
zeroshot experts audit walker-torso-reach --zoo zoo/walker-torso-reach --repair --adopt --found found/walker-torso-reach.json \
    --threshold 0.009 --episodes 1 --decide 300 --seed 123 --rounds 1 --warm-steps 40000  # stopped before its last audit
