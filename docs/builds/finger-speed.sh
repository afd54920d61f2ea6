# zoo/first/finger-speed is the zoo that this one replaced, of commit c9eba9e
zeroshot experts build finger-speed --only speed=-10 --chain --anchors speed=-10 \
    --anchor-zoo zoo/first/finger-speed --warm-steps 400000 --out zoo/finger-anchors
cp zoo/first/finger-speed/speed=10_* zoo/finger-anchors
zeroshot experts build finger-speed --chain --anchors speed=-10 speed=10 --anchor-zoo zoo/finger-anchors \
    --warm-steps 250000 --out zoo/finger-speed
# The slow ones again, with less noise at the end, each from its own expert:
mkdir zoo/finger-slow && mv zoo/finger-speed/speed={-,}[1-7]_* zoo/finger-slow
zeroshot experts build finger-speed --chain --anchors speed=7 speed=6 speed=5 speed=4 speed=3 speed=2 \
    speed=1 speed=-7 speed=-6 speed=-5 speed=-4 speed=-3 speed=-2 speed=-1 \
    --only speed=7 speed=6 speed=5 speed=4 speed=3 speed=2 speed=1 speed=-7 speed=-6 speed=-5 \
    speed=-4 speed=-3 speed=-2 speed=-1 --anchor-zoo zoo/finger-slow --warm-steps 250000 \
    --out zoo/finger-speed
# The others had discount 0.98, and are trained on with 0.99, each from itself:
mkdir zoo/finger-fast && mv zoo/finger-speed/speed={-,}{8,9,10,11,12,13,14,15}_* zoo/finger-fast
zeroshot experts build finger-speed --chain \
    --only speed={-,}{8,9,10,11,12,13,14,15} --anchors speed={-,}{8,9,10,11,12,13,14,15} \
    --anchor-zoo zoo/finger-fast --warm-steps 250000 --out zoo/finger-speed
# adoption only: the audit in docs/results/audits at commit a4d5c18 found 1 of 30 beaten
zeroshot experts audit finger-speed --zoo zoo/finger-speed --repair --adopt --found finger-speed.json \
    --episodes 1 --decide 200 --seed 144 --rounds 1 --warm-steps 40000  # stopped before its last audit
