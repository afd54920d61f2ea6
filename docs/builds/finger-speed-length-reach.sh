zeroshot experts build finger-speed-length-reach --chain --along length --warm-steps 150000 \
    --anchors speed=-12,length=0.16 speed=-9,length=0.16 speed=-6,length=0.16 speed=-3,length=0.16 \
    speed=3,length=0.16 speed=6,length=0.16 speed=9,length=0.16 speed=12,length=0.16 \
    --anchor-zoo zoo/finger-speed-reach --out zoo/finger-speed-length-reach
zeroshot experts audit finger-speed-length-reach --zoo zoo/finger-speed-length-reach --repair --episodes 1 \
    --confirm 20 --seed 10 --rounds 2 --warm-steps 250000 \
    --donors zoo/finger-length-reach zoo/finger-speed-reach  # stopped after its first round
# a second round, from the list of a fresh audit (docs/results/audits at commit 9a2ed79)
zeroshot experts audit finger-speed-length-reach --zoo zoo/finger-speed-length-reach --repair \
    --donors zoo/finger-length-reach zoo/finger-speed-reach \
    --found finger-speed-length-reach.json --threshold 0.015 --episodes 1 --seed 31 --rounds 1 \
    --warm-steps 300000
# a third round, from the list of the audit with seed 101
zeroshot experts audit finger-speed-length-reach --zoo zoo/finger-speed-length-reach --repair \
    --donors zoo/finger-length-reach zoo/finger-speed-reach --found finger-speed-length-reach.json \
    --threshold 0.015 --episodes 1 --seed 51 --rounds 1 --warm-steps 500000  # stopped before its last audit
# a fourth round, from the list of the audit with seed 102 (commit f0fe9e2)
zeroshot experts audit finger-speed-length-reach --zoo zoo/finger-speed-length-reach --repair \
    --donors zoo/finger-speed-reach zoo/finger-length-reach --found finger-speed-length-reach.json \
    --threshold 0.015 --episodes 1 --seed 63 --rounds 1 --warm-steps 500000  # stopped before its last audit
# a fifth, from the list of the audit with seed 103: the same command with --seed 64
