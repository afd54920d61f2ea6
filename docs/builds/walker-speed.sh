zeroshot experts build walker-speed --recipe sac-fast --only speed=1 speed=-1 --out zoo/walker-anchors
zeroshot experts build walker-speed --chain --anchors speed=1 speed=-1 --anchor-zoo zoo/walker-anchors \
    --warm-steps 300000 --out zoo/walker-speed  # interrupted; of the backward ones -0.25 to -0.75 were kept
zeroshot experts build walker-speed --chain --anchors speed=1 speed=-0.75 --warm-steps 300000 \
    --out zoo/walker-speed  # interrupted
