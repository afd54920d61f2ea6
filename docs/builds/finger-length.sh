# zoo/finger-anchors: see finger-speed; the last 18 with less noise at the end than the first 13
zeroshot experts build finger-length --chain --anchors length=0.16 --anchor-zoo zoo/finger-anchors \
    --warm-steps 250000 --out zoo/finger-length
# The first 21, of discount 0.98, are trained on with 0.99, each from itself:
mkdir zoo/finger-98 && mv zoo/finger-length/*length=0.{1,1?,2,2?,3}.* zoo/finger-98
zeroshot experts build finger-length --chain \
    --only length=0.{1,11,12,13,14,15,16,17,18,19,2,21,22,23,24,25,26,27,28,29,3} \
    --anchors length=0.{1,11,12,13,14,15,16,17,18,19,2,21,22,23,24,25,26,27,28,29,3} \
    --anchor-zoo zoo/finger-98 --warm-steps 250000 --out zoo/finger-length
zeroshot experts audit finger-length --zoo zoo/finger-length --repair --episodes 1 --confirm 20 \
    --seed 10 --rounds 1 --warm-steps 250000 --donors zoo/finger-length-reach
